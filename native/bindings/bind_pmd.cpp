// SPDX-License-Identifier: BSD-3-Clause
// PMD threads.
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include <rte_cycles.h>

#include "bindings.hpp"
#include "datapath/pmd_thread.hpp"

namespace bindings {
namespace {

using datapath::PmdThread;
using datapath::Port;

// An rxq: port, qid, index of its output or -1, port of the bridge or -1, capture or None.
using Input = std::tuple<std::shared_ptr<Port>, std::uint16_t, int, int, std::shared_ptr<datapath::Capture>>;

datapath::PmdPlan make_plan(const std::vector<Input>& inputs, const std::vector<Output>& outputs,
                            std::shared_ptr<datapath::Bridge> bridge, std::uint32_t tx_flush_interval_us,
                            std::uint32_t sleep_max_us, bool perf_metrics) {
    datapath::PmdPlan plan{.inputs = {},
                           .outputs = {},
                           .bridge = std::move(bridge),
                           .tx_flush_interval_us = tx_flush_interval_us,
                           .sleep_max_us = sleep_max_us,
                           .perf_metrics = perf_metrics};
    for (const auto& [port, qid, output, bridge_port, capture] : inputs) {
        plan.inputs.push_back(
            {.port = port, .qid = qid, .output = output, .bridge_port = bridge_port, .captured = capture});
    }
    for (const auto& output : outputs) {
        plan.outputs.push_back(plan_output(output));
    }
    return plan;
}

py::dict pmd_stats(const PmdThread& thread) {
    const auto stats = thread.stats();
    DictRecord record;
    record.add("core", thread.core());
    add_fields(record, stats);
    record.dict["longest_stall_us"] =
        static_cast<double>(stats.longest_stall_cycles) * 1e6 / static_cast<double>(rte_get_tsc_hz());
    record.dict["recent_busy_cycles"] =
        stats.recent_busy.before(datapath::RecentCycles::step_at(rte_rdtsc(), rte_get_tsc_hz()));
    return record.dict;
}

} // namespace

datapath::PmdPlan::Output plan_output(const Output& output) {
    const auto& [port, qid, channels, bridge_port, capture] = output;
    datapath::PmdPlan::Output planned{
        .port = port, .qid = qid, .channels = {}, .bridge_port = bridge_port, .captured = capture};
    for (const auto& [device, index] : channels) {
        planned.channels.push_back(&device->channel(index));
    }
    return planned;
}

void register_pmd(py::module_& m) {
    py::class_<PmdThread, std::shared_ptr<PmdThread>>(m, "PmdThread")
        .def(py::init([](unsigned core, const std::vector<Input>& inputs, const std::vector<Output>& outputs,
                         std::shared_ptr<datapath::Bridge> bridge, std::uint32_t tx_flush_interval_us,
                         std::uint32_t sleep_max_us, bool perf_metrics, const py::kwargs& deferral) {
                 return std::make_shared<PmdThread>(
                     core,
                     make_plan(inputs, outputs, std::move(bridge), tx_flush_interval_us, sleep_max_us, perf_metrics),
                     parse_deferral_config(deferral));
             }),
             py::kw_only(), py::arg("core"), py::arg("inputs"), py::arg("outputs"), py::arg("bridge").none(true),
             py::arg("tx_flush_interval_us"), py::arg("sleep_max_us"), py::arg("perf_metrics"))
        .def("start", &PmdThread::start, py::call_guard<py::gil_scoped_release>())
        .def(
            "reload",
            [](PmdThread& self, const std::vector<Input>& inputs, const std::vector<Output>& outputs,
               std::shared_ptr<datapath::Bridge> bridge, std::uint32_t tx_flush_interval_us, std::uint32_t sleep_max_us,
               bool perf_metrics, const py::kwargs& deferral) {
                const auto plan =
                    make_plan(inputs, outputs, std::move(bridge), tx_flush_interval_us, sleep_max_us, perf_metrics);
                const auto config = parse_deferral_config(deferral);
                const py::gil_scoped_release release;
                self.reload(plan, config);
            },
            py::kw_only(), py::arg("inputs"), py::arg("outputs"), py::arg("bridge").none(true),
            py::arg("tx_flush_interval_us"), py::arg("sleep_max_us"), py::arg("perf_metrics"))
        .def("wind_down", &PmdThread::wind_down)
        .def("stop", &PmdThread::stop, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("core", &PmdThread::core)
        .def("stats", &pmd_stats);
}

} // namespace bindings
