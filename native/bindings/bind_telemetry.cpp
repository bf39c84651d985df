// SPDX-License-Identifier: BSD-3-Clause
// What the telemetry socket shows.
#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "telemetry/view.hpp"

namespace bindings {
namespace {

using ShownPort = std::tuple<std::shared_ptr<datapath::Port>, std::string, std::vector<int>>;
using ShownHandoff =
    std::tuple<std::shared_ptr<datapath::Port>, std::uint16_t, std::shared_ptr<datapath::HandoffPort>, std::uint64_t>;
using ShownDma = std::tuple<std::shared_ptr<dpdk::DmaDevice>, std::shared_ptr<faults::DmaModel>, std::string>;

template<typename Shown, typename... Values>
std::vector<Shown> shown_from(const std::vector<std::tuple<Values...>>& values) {
    std::vector<Shown> shown;
    for (const auto& value : values) {
        shown.push_back(std::apply([](const auto&... parts) { return Shown{parts...}; }, value));
    }
    return shown;
}

} // namespace

void register_telemetry(py::module_& m) {
    m.def(
        "telemetry_show",
        [](double seconds_up, bool hugepages, std::vector<std::shared_ptr<datapath::PmdThread>> pmds,
           const std::vector<ShownPort>& ports, const std::vector<ShownHandoff>& handoffs,
           const std::vector<ShownDma>& dma, std::vector<std::shared_ptr<dpdk::Mempool>> mempools,
           const py::kwargs& deferral) {
            using std::chrono::steady_clock;
            const auto up =
                std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds_up));
            telemetry::View view{.up_since = steady_clock::now() - up,
                                 .hugepages = hugepages,
                                 .deferral = parse_deferral_config(deferral),
                                 .pmds = std::move(pmds),
                                 .ports = shown_from<telemetry::View::Port>(ports),
                                 .handoffs = shown_from<telemetry::View::Handoff>(handoffs),
                                 .dma = shown_from<telemetry::View::Dma>(dma),
                                 .mempools = std::move(mempools)};
            const py::gil_scoped_release release;
            telemetry::show(std::move(view));
        },
        py::kw_only(), py::arg("seconds_up"), py::arg("hugepages"), py::arg("pmds"), py::arg("ports"),
        py::arg("handoffs"), py::arg("dma"), py::arg("mempools"));
    m.def("telemetry_hide", &telemetry::hide, py::call_guard<py::gil_scoped_release>());
}

} // namespace bindings
