// SPDX-License-Identifier: BSD-3-Clause
// What lies between ports: the bridge, handoffs between threads, and the control side's ways in and out.
#include <cstdio>
#include <string_view>

#include <pybind11/stl.h>

#include <rte_cycles.h>

#include "bindings.hpp"
#include "datapath/bridge.hpp"
#include "datapath/capture.hpp"
#include "datapath/handoff_port.hpp"
#include "datapath/injector.hpp"
#include "datapath/relay_port.hpp"

namespace bindings {
namespace {

using datapath::Bridge;
using datapath::Capture;
using datapath::HandoffPort;
using datapath::Injector;

py::list entries(const Bridge& bridge) {
    py::list found;
    for (const auto& entry : bridge.entries(static_cast<std::uint32_t>(rte_rdtsc() / rte_get_tsc_hz()))) {
        char text[sizeof("00:00:00:00:00:00")];
        const auto& a = entry.address;
        std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
        found.append(py::make_tuple(text, entry.port, entry.age_seconds));
    }
    return found;
}

// (TSC, is it tx, qid, length as it passed, bytes); fewer than `most` when no more wait.
py::list read(Capture& capture, std::size_t most) {
    py::list found;
    while (found.size() < most) {
        rte_mbuf* packet = capture.read();
        if (packet == nullptr) {
            break;
        }
        const Capture::Frame frame(packet);
        const auto bytes = py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, frame.copied_bytes()));
        if (!bytes) {
            throw py::error_already_set();
        }
        frame.copy_to(PyBytes_AS_STRING(bytes.ptr()));
        found.append(py::make_tuple(frame.tsc(), frame.direction() == datapath::Direction::tx, frame.qid(),
                                    frame.length(), bytes));
    }
    return found;
}

// Frames are bytes: nobody changes them while they are copied without the GIL.
std::size_t inject(Injector& injector, const std::vector<py::bytes>& frames, unsigned timeout_ms) {
    std::vector<std::string_view> views(frames.begin(), frames.end());
    const py::gil_scoped_release release;
    return injector.inject(views, timeout_ms);
}

} // namespace

void register_forwarding(py::module_& m) {
    py::class_<Bridge, std::shared_ptr<Bridge>>(m, "Bridge")
        .def(py::init<std::uint32_t, std::uint32_t>(), py::kw_only(), py::arg("addresses"), py::arg("ageing_seconds"))
        .def("forget", &Bridge::forget, py::arg("port"))
        .def("entries", &entries);
    py::class_<HandoffPort, datapath::Port, std::shared_ptr<HandoffPort>>(m, "HandoffPort")
        .def(py::init<std::string, std::uint16_t>(), py::kw_only(), py::arg("name"), py::arg("senders"))
        .def("free", &HandoffPort::free)
        .def_property_readonly("waiting", &HandoffPort::waiting)
        .def_property_readonly("dropped", &HandoffPort::dropped);
    py::class_<datapath::RelayPort, datapath::Port, std::shared_ptr<datapath::RelayPort>>(m, "RelayPort")
        .def(py::init<std::string>(), py::kw_only(), py::arg("name"));
    py::class_<Capture, std::shared_ptr<Capture>>(m, "Capture")
        .def(py::init<const std::string&, std::uint32_t, std::uint32_t>(), py::kw_only(), py::arg("name"),
             py::arg("frames"), py::arg("snap_bytes"))
        .def("read", &read, py::arg("most"))
        .def("release", &Capture::release)
        .def_property_readonly("lost", &Capture::lost);
    py::class_<Injector>(m, "Injector")
        .def(py::init([](const Output& output, std::shared_ptr<dpdk::Mempool> pool, const py::kwargs& deferral) {
                 return std::make_unique<Injector>(plan_output(output), std::move(pool),
                                                   parse_deferral_config(deferral));
             }),
             py::kw_only(), py::arg("output"), py::arg("pool"))
        .def("inject", &inject, py::arg("frames"), py::arg("timeout_ms"));
}

} // namespace bindings
