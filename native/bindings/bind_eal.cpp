// SPDX-License-Identifier: BSD-3-Clause
// EAL, its log, DPDK's versions, and the mbuf pool.
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include <rte_cycles.h>

#include "bindings.hpp"
#include "dpdk/compat.hpp"
#include "dpdk/eal.hpp"
#include "dpdk/log.hpp"
#include "dpdk/mempool.hpp"

namespace bindings {

void register_eal(py::module_& m) {
    m.attr("dpdk_compiled") = dpdk::compiled_version();
    m.def("dpdk_loaded", &dpdk::Eal::loaded_version);
    m.def(
        "eal_start",
        [](unsigned memory_mb, bool hugepages, bool share_memory, bool telemetry, bool pci,
           std::vector<std::string> allowed_devices, std::vector<int> control_cpus, std::string file_prefix,
           std::vector<std::string> extra_args) {
            const dpdk::EalOptions options{.memory_mb = memory_mb,
                                           .hugepages = hugepages,
                                           .share_memory = share_memory,
                                           .telemetry = telemetry,
                                           .pci = pci,
                                           .allowed_devices = std::move(allowed_devices),
                                           .control_cpus = std::move(control_cpus),
                                           .file_prefix = std::move(file_prefix),
                                           .extra_args = std::move(extra_args)};
            const py::gil_scoped_release release;
            dpdk::Eal::start(options);
        },
        py::kw_only(), py::arg("memory_mb"), py::arg("hugepages"), py::arg("share_memory"), py::arg("telemetry"),
        py::arg("pci"), py::arg("allowed_devices"), py::arg("control_cpus"), py::arg("file_prefix"),
        py::arg("extra_args"));
    m.def("eal_stop", &dpdk::Eal::stop, py::call_guard<py::gil_scoped_release>());
    m.def("eal_running", &dpdk::Eal::running);
    m.def("eal_runtime_dir", &dpdk::Eal::runtime_dir);
    m.def("eal_arguments", &dpdk::Eal::arguments);
    m.def("log_last_lines", &dpdk::log::last_lines, py::arg("count"), py::call_guard<py::gil_scoped_release>());
    // (level of Python's logging, whether DPDK said it, seconds since the Unix epoch, text) of each message.
    m.def("log_take_records", [] {
        std::vector<std::tuple<int, bool, double, std::string>> records;
        for (auto& record : dpdk::log::take_records()) {
            const int level = (static_cast<int>(record.level) + 1) * 10;
            records.emplace_back(level, record.from_dpdk, record.time_s, std::move(record.text));
        }
        return records;
    });
    m.def("tsc_hz", &rte_get_tsc_hz);
    m.def("tsc", &rte_rdtsc);

    py::class_<dpdk::Mempool, std::shared_ptr<dpdk::Mempool>>(m, "Mempool")
        .def(py::init<std::string, unsigned, unsigned>(), py::arg("name"), py::arg("count"), py::arg("data_room_bytes"),
             py::call_guard<py::gil_scoped_release>())
        .def("free", &dpdk::Mempool::free, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("name", &dpdk::Mempool::name)
        .def_property_readonly("size", &dpdk::Mempool::size)
        .def_property_readonly("available", &dpdk::Mempool::available)
        .def("count_repeated", &dpdk::Mempool::count_repeated, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("data_room_bytes", &dpdk::Mempool::data_room_bytes);
}

} // namespace bindings
