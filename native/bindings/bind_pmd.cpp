// SPDX-License-Identifier: BSD-3-Clause
// PMD threads.
#include <memory>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "datapath/pmd_thread.hpp"

namespace bindings {
namespace {

using datapath::PmdThread;
using datapath::Port;

py::dict pmd_stats(const PmdThread& thread) {
    const auto stats = thread.stats();
    py::dict d;
    d["core"] = thread.core();
    d["iterations"] = stats.iterations;
    d["busy_iterations"] = stats.busy_iterations;
    d["idle_cycles"] = stats.idle_cycles;
    d["busy_cycles"] = stats.busy_cycles;
    d["rx_packets"] = stats.rx_packets;
    d["tx_packets"] = stats.tx_packets;
    d["tx_batches"] = stats.tx_batches;
    d["unwired_drops"] = stats.unwired_drops;
    d["work_deferred"] = stats.deferral.work_deferred;
    d["work_in_progress"] = stats.deferral.work_in_progress;
    d["work_ring_full"] = stats.deferral.work_ring_full;
    d["work_done"] = stats.deferral.work_done;
    d["work_dropped"] = stats.deferral.work_dropped;
    return d;
}

} // namespace

void register_pmd(py::module_& m) {
    using Inputs = std::vector<std::tuple<std::shared_ptr<Port>, std::uint16_t, int>>;
    using Outputs = std::vector<std::pair<std::shared_ptr<Port>, std::uint16_t>>;
    py::class_<PmdThread>(m, "PmdThread")
        .def(py::init([](unsigned core, const Inputs& inputs, const Outputs& outputs, std::uint32_t ring_size,
                         std::uint32_t attempt_limit, std::uint8_t iteration_delay) {
                 datapath::PmdPlan plan;
                 for (const auto& [port, qid, output] : inputs) {
                     plan.inputs.push_back({.port = port, .qid = qid, .output = output});
                 }
                 for (const auto& [port, qid] : outputs) {
                     plan.outputs.push_back({.port = port, .qid = qid});
                 }
                 return std::make_unique<PmdThread>(core, std::move(plan),
                                                    defer::DeferralConfig{.ring_size = ring_size,
                                                                          .attempt_limit = attempt_limit,
                                                                          .iteration_delay = iteration_delay});
             }),
             py::kw_only(), py::arg("core"), py::arg("inputs"), py::arg("outputs"), py::arg("ring_size"),
             py::arg("attempt_limit"), py::arg("iteration_delay"))
        .def("start", &PmdThread::start, py::call_guard<py::gil_scoped_release>())
        .def("stop", &PmdThread::stop, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("core", &PmdThread::core)
        .def("stats", &pmd_stats);
}

} // namespace bindings
