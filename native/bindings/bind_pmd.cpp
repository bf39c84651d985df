// SPDX-License-Identifier: BSD-3-Clause
// PMD threads.
#include <memory>
#include <utility>

#include <pybind11/stl.h>

#include <rte_cycles.h>

#include "bindings.hpp"
#include "datapath/pmd_thread.hpp"
#include "dpdk/dma_device.hpp"

namespace bindings {
namespace {

using datapath::PmdThread;
using datapath::Port;

using Inputs = std::vector<std::tuple<std::shared_ptr<Port>, std::uint16_t, int>>;
using Channels = std::vector<std::pair<std::shared_ptr<dpdk::DmaDevice>, std::uint16_t>>;
using Outputs = std::vector<std::tuple<std::shared_ptr<Port>, std::uint16_t, Channels>>;

datapath::PmdPlan make_plan(const Inputs& inputs, const Outputs& outputs) {
    datapath::PmdPlan plan;
    for (const auto& [port, qid, output] : inputs) {
        plan.inputs.push_back({.port = port, .qid = qid, .output = output});
    }
    for (const auto& [port, qid, channels] : outputs) {
        auto& output = plan.outputs.emplace_back(datapath::PmdPlan::Output{.port = port, .qid = qid, .channels = {}});
        for (const auto& [device, index] : channels) {
            output.channels.push_back(&device->channel(index));
        }
    }
    return plan;
}

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
    d["longest_stall_us"] =
        static_cast<double>(stats.longest_stall_cycles) * 1e6 / static_cast<double>(rte_get_tsc_hz());
    return d;
}

} // namespace

void register_pmd(py::module_& m) {
    py::class_<PmdThread>(m, "PmdThread")
        .def(py::init([](unsigned core, const Inputs& inputs, const Outputs& outputs, const py::kwargs& deferral) {
                 return std::make_unique<PmdThread>(core, make_plan(inputs, outputs), parse_deferral_config(deferral));
             }),
             py::kw_only(), py::arg("core"), py::arg("inputs"), py::arg("outputs"))
        .def("start", &PmdThread::start, py::call_guard<py::gil_scoped_release>())
        .def(
            "reload",
            [](PmdThread& self, const Inputs& inputs, const Outputs& outputs, const py::kwargs& deferral) {
                const auto plan = make_plan(inputs, outputs);
                const auto config = parse_deferral_config(deferral);
                const py::gil_scoped_release release;
                self.reload(plan, config);
            },
            py::kw_only(), py::arg("inputs"), py::arg("outputs"))
        .def("wind_down", &PmdThread::wind_down)
        .def("stop", &PmdThread::stop, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("core", &PmdThread::core)
        .def("stats", &pmd_stats);
}

} // namespace bindings
