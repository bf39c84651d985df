// SPDX-License-Identifier: BSD-3-Clause
// The ports, and their counters as dictionaries.
#include <algorithm>
#include <cmath>
#include <memory>

#include <pybind11/stl.h>

#include <rte_cycles.h>

#include "bindings.hpp"
#include "datapath/ethdev_port.hpp"
#include "datapath/generator_port.hpp"
#include "datapath/vhost_port.hpp"

namespace bindings {
namespace {

using datapath::Port;
using datapath::RecentCycles;

datapath::CopyMode parse_copy(const std::string& text) {
    const auto& names = datapath::copy_mode_names;
    const auto found = std::find(names.begin(), names.end(), text);
    if (found == names.end()) {
        throw std::invalid_argument("copy is 'dma', 'cpu' or 'auto', not '" + text + "'");
    }
    return static_cast<datapath::CopyMode>(found - names.begin());
}

py::dict rxq_stats(const Port& port, std::uint16_t qid) {
    const auto stats = port.rxq_stats(qid);
    DictRecord record;
    add_fields(record, stats);
    record.dict["recent_cycles"] = stats.recent.before(RecentCycles::step_at(rte_rdtsc(), rte_get_tsc_hz()));
    return record.dict;
}

// Whole nanoseconds -> batches.
py::dict in_flight_time(const Port& port, std::uint16_t qid) {
    py::dict d;
    if (const datapath::TimeCounts* times = port.in_flight_times(qid); times != nullptr) {
        for (const auto& [cycles, count] : times->read()) {
            const double ns = static_cast<double>(cycles) * 1e9 / static_cast<double>(rte_get_tsc_hz());
            const py::int_ key(static_cast<std::uint64_t>(std::llround(ns))); // of several short times it is the same
            d[key] = count + (d.contains(key) ? d[key].cast<std::uint64_t>() : 0);
        }
    }
    return d;
}

py::dict txq_stats(const Port& port, std::uint16_t qid) {
    DictRecord record;
    add_fields(record, port.txq_stats(qid));
    record.dict["in_flight_time"] = in_flight_time(port, qid);
    return record.dict;
}

void register_generator(py::module_& m) {
    using datapath::GeneratorPort;
    using Sizes = std::vector<std::uint16_t>;
    py::class_<GeneratorPort, Port, std::shared_ptr<GeneratorPort>>(m, "GeneratorPort")
        .def(py::init([](std::string name, std::uint16_t queues, std::uint16_t first_stream, Sizes frame_sizes,
                         double rate_pps, std::uint16_t burst, bool pattern, std::string src_mac, std::string dst_mac,
                         std::shared_ptr<dpdk::Mempool> pool) {
                 return std::make_shared<GeneratorPort>(std::move(name),
                                                        GeneratorPort::Options{.queues = queues,
                                                                               .first_stream = first_stream,
                                                                               .source_mac = std::move(src_mac),
                                                                               .destination_mac = std::move(dst_mac)},
                                                        GeneratorPort::Shape{.frame_sizes = std::move(frame_sizes),
                                                                             .rate_pps = rate_pps,
                                                                             .burst = burst,
                                                                             .pattern = pattern},
                                                        std::move(pool));
             }),
             py::kw_only(), py::arg("name"), py::arg("queues"), py::arg("first_stream"), py::arg("frame_sizes"),
             py::arg("rate_pps"), py::arg("burst"), py::arg("pattern"), py::arg("src_mac"), py::arg("dst_mac"),
             py::arg("pool"))
        .def("set_sinks", &GeneratorPort::set_sinks, py::arg("count"))
        .def(
            "set_shape",
            [](GeneratorPort& self, Sizes frame_sizes, double rate_pps, std::uint16_t burst, std::uint16_t batch,
               bool pattern) {
                self.set_shape({.frame_sizes = std::move(frame_sizes),
                                .rate_pps = rate_pps,
                                .burst = burst,
                                .batch = batch,
                                .pattern = pattern});
            },
            py::kw_only(), py::arg("frame_sizes"), py::arg("rate_pps"), py::arg("burst"),
            py::arg("batch") = datapath::max_batch, py::arg("pattern"))
        .def("start_traffic", &GeneratorPort::start_traffic, py::arg("packets"))
        .def("stop_traffic", &GeneratorPort::stop_traffic)
        .def_property_readonly("finished", &GeneratorPort::finished);
}

void register_ethdev(py::module_& m) {
    using datapath::EthdevPort;
    py::class_<EthdevPort, Port, std::shared_ptr<EthdevPort>>(m, "EthdevPort")
        .def(py::init([](std::string name, std::string device, std::uint16_t queues, std::uint16_t rx_ring_size,
                         std::uint16_t tx_ring_size, std::uint16_t mtu, bool promiscuous, bool async, double rate_pps,
                         std::shared_ptr<dpdk::Mempool> pool) {
                 const EthdevPort::Options options{.device = {.device = std::move(device),
                                                              .queues = queues,
                                                              .rx_ring_size = rx_ring_size,
                                                              .tx_ring_size = tx_ring_size,
                                                              .mtu = mtu,
                                                              .promiscuous = promiscuous},
                                                   .async = async,
                                                   .rate_pps = rate_pps};
                 const py::gil_scoped_release release;
                 return std::make_shared<EthdevPort>(std::move(name), options, std::move(pool));
             }),
             py::kw_only(), py::arg("name"), py::arg("device"), py::arg("queues"), py::arg("rx_ring_size"),
             py::arg("tx_ring_size"), py::arg("mtu"), py::arg("promiscuous"), py::arg("async_"), py::arg("rate_pps"),
             py::arg("pool"))
        .def_property_readonly("driver", &EthdevPort::driver)
        .def("start_traffic", &EthdevPort::start_traffic)
        .def("stop_traffic", &EthdevPort::stop_traffic);
}

void register_vhost(py::module_& m) {
    using datapath::VhostPort;
    py::class_<VhostPort, Port, std::shared_ptr<VhostPort>>(m, "VhostPort")
        .def(py::init([](std::string name, std::string socket, bool client, std::uint16_t queues, bool dma,
                         const std::string& copy, std::uint32_t dma_min_bytes, unsigned wedge_timeout_ms,
                         unsigned tx_retries_max, bool vhost_counters, std::shared_ptr<dpdk::Mempool> pool) {
                 const VhostPort::Options options{.socket = std::move(socket),
                                                  .client = client,
                                                  .queues = queues,
                                                  .dma = dma,
                                                  .copy = parse_copy(copy),
                                                  .dma_min_bytes = dma_min_bytes,
                                                  .wedge_timeout_ms = wedge_timeout_ms,
                                                  .tx_retries_max = tx_retries_max,
                                                  .vhost_counters = vhost_counters};
                 return std::make_shared<VhostPort>(std::move(name), options, std::move(pool));
             }),
             py::kw_only(), py::arg("name"), py::arg("socket"), py::arg("client"), py::arg("queues"), py::arg("dma"),
             py::arg("copy"), py::arg("dma_min_bytes"), py::arg("wedge_timeout_ms"), py::arg("tx_retries_max"),
             py::arg("vhost_counters"), py::arg("pool"))
        .def("open", &VhostPort::open, py::call_guard<py::gil_scoped_release>())
        .def_property(
            "copy",
            [](const VhostPort& self) { return datapath::copy_mode_names[static_cast<std::size_t>(self.copy())]; },
            [](VhostPort& self, const std::string& copy) { self.set_copy(parse_copy(copy)); })
        .def("txq_counters", &VhostPort::txq_counters, py::arg("qid"), py::call_guard<py::gil_scoped_release>())
        .def("rxq_counters", &VhostPort::rxq_counters, py::arg("qid"), py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("ready_txqs", &VhostPort::ready_txqs)
        .def_property_readonly("usable_txqs", &VhostPort::usable_txqs)
        .def_property_readonly("numa_node", &VhostPort::numa_node)
        .def_property_readonly("vid", &VhostPort::vid)
        .def_property_readonly("connects", &VhostPort::connects)
        .def_property_readonly("disconnects", &VhostPort::disconnects)
        .def_property_readonly("failures", &VhostPort::failures);
}

} // namespace

void register_ports(py::module_& m) {
    py::class_<Port, std::shared_ptr<Port>>(m, "Port")
        .def_property_readonly("name", &Port::name)
        .def_property_readonly("rxq_count", &Port::rxq_count)
        .def_property_readonly("txq_count", &Port::txq_count)
        .def("rxq_stats", &rxq_stats, py::arg("qid"))
        .def("txq_stats", &txq_stats, py::arg("qid"))
        .def("drain", &Port::drain, py::arg("timeout_ms"), py::call_guard<py::gil_scoped_release>())
        .def("drain_txq", &Port::drain_txq, py::arg("qid"), py::arg("timeout_ms"),
             py::call_guard<py::gil_scoped_release>())
        .def("close", &Port::close, py::call_guard<py::gil_scoped_release>());
    register_generator(m);
    register_ethdev(m);
    register_vhost(m);
}

} // namespace bindings
