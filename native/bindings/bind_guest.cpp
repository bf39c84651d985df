// SPDX-License-Identifier: BSD-3-Clause
// The guest, and its verifier alone.
#include <memory>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "guest/guest.hpp"

namespace bindings {
namespace {

using guest::Guest;
using guest::Verifier;

guest::Role parse_role(const std::string& text) {
    if (text == "sink") {
        return guest::Role::sink;
    }
    if (text == "echo") {
        return guest::Role::echo;
    }
    if (text == "verify") {
        return guest::Role::verify;
    }
    throw std::invalid_argument("role is 'sink', 'echo' or 'verify', not '" + text + "'");
}

void add_verified(py::dict& d, const Verifier::Totals& totals) {
    d["foreign"] = totals.foreign;
    d["corrupt"] = totals.corrupt;
    d["lost"] = totals.lost;
    d["reordered"] = totals.reordered;
    d["duplicates"] = totals.duplicates;
    d["missed_before_start"] = totals.missed_before_start;
}

py::dict streams(const Verifier& verifier) {
    py::dict result;
    for (const auto& [number, counters] : verifier.streams()) {
        py::dict d;
        d["received"] = counters.received;
        d["first"] = counters.first;
        d["last"] = counters.last;
        d["lost"] = counters.lost;
        d["reordered"] = counters.reordered;
        d["duplicates"] = counters.duplicates;
        d["missed_before_start"] = counters.missed_before_start;
        result[py::int_(number)] = d;
    }
    return result;
}

py::dict latency(const Verifier& verifier) {
    const datapath::Histogram& histogram = verifier.latency();
    const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000; };
    py::dict d;
    d["p50"] = us(histogram.percentile_ns(50));
    d["p90"] = us(histogram.percentile_ns(90));
    d["p99"] = us(histogram.percentile_ns(99));
    d["p99_9"] = us(histogram.percentile_ns(99.9));
    d["max"] = us(histogram.max_ns());
    d["count"] = histogram.count();
    return d;
}

py::dict totals(const Guest& self) {
    const auto totals = self.totals();
    py::dict d;
    d["received"] = totals.received;
    d["bytes"] = totals.bytes;
    d["echoed"] = totals.echoed;
    d["echo_drops"] = totals.echo_drops;
    d["pcap_packets"] = totals.pcap_packets;
    d["pcap_missed"] = totals.pcap_missed;
    add_verified(d, totals.verified);
    return d;
}

py::dict stats(const Guest& self) {
    py::dict d = totals(self);
    d["connects"] = self.connects();
    d["disconnects"] = self.disconnects();
    d["features"] = self.features();
    d["pcap_errno"] = self.pcap_error();
    d["mbufs_missing"] = self.mbufs_missing();
    const Verifier* verifier = self.verifier();
    d["streams"] = verifier != nullptr ? streams(*verifier) : py::dict();
    d["latency_us"] = verifier != nullptr ? py::object(latency(*verifier)) : py::none();
    return d;
}

Verifier& verifier_of(Guest& self) {
    Verifier* verifier = self.verifier();
    if (verifier == nullptr) {
        throw std::invalid_argument("only a guest whose role is 'verify' looks at frames");
    }
    return *verifier;
}

// Nanoseconds -> frames, of all that arrived since the last call.
py::dict take_latency(Guest& self) {
    Verifier& verifier = verifier_of(self);
    py::dict d;
    for (const auto& [ns, count] : verifier.latency().counts()) {
        d[py::int_(ns)] = count;
    }
    verifier.clear_latency();
    return d;
}

void register_verifier(py::module_& m) {
    py::class_<Verifier>(m, "Verifier")
        .def(py::init<std::uint64_t, bool>(), py::kw_only(), py::arg("tsc_hz"), py::arg("from_start"))
        .def(
            "frame",
            [](Verifier& self, const py::bytes& frame, std::uint64_t now) {
                const std::string_view bytes = frame;
                self.frame(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                           static_cast<std::uint32_t>(bytes.size()), now);
            },
            py::arg("frame"), py::arg("now"))
        .def("expect_new_run", &Verifier::expect_new_run)
        .def("stats", [](const Verifier& self) {
            py::dict d;
            add_verified(d, self.totals());
            d["streams"] = streams(self);
            d["latency_us"] = latency(self);
            return d;
        });
}

} // namespace

void register_guest(py::module_& m) {
    using Release = py::call_guard<py::gil_scoped_release>;
    register_verifier(m);
    py::class_<Guest>(m, "Guest")
        .def(py::init([](std::string device, std::uint16_t queues, std::uint16_t ring_size, const std::string& role,
                         unsigned data_room_bytes, std::string pcap, bool from_start, bool spin) {
                 const Guest::Options options{
                     .device = {.device = std::move(device), .queues = queues, .ring_size = ring_size},
                     .role = parse_role(role),
                     .data_room_bytes = data_room_bytes,
                     .pcap = std::move(pcap),
                     .from_start = from_start,
                     .spin = spin};
                 const py::gil_scoped_release release;
                 return std::make_unique<Guest>(options);
             }),
             py::kw_only(), py::arg("device"), py::arg("queues"), py::arg("ring_size"), py::arg("role"),
             py::arg("data_room_bytes"), py::arg("pcap"), py::arg("from_start"), py::arg("spin"))
        .def("connect", &Guest::connect, Release())
        .def("disconnect", &Guest::disconnect, Release())
        .def("close", &Guest::close, Release())
        .def("poll", &Guest::poll, py::arg("milliseconds"), py::arg("limit") = 0, Release())
        .def(
            "check_payload", [](Guest& self, bool on) { verifier_of(self).check_payload(on); }, py::arg("on"))
        .def("take_latency", &take_latency)
        .def_property_readonly("last_arrival", &Guest::last_arrival)
        .def("totals", &totals)
        .def("stats", &stats)
        .def_property_readonly("link_up", &Guest::link_up);
}

} // namespace bindings
