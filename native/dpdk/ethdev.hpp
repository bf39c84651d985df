// SPDX-License-Identifier: BSD-3-Clause
// An ethdev made ready: probed, configured, started, and closed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dpdk/mempool.hpp"

struct rte_ring;

namespace dpdk {

class Ethdev {
  public:
    struct Options {
        std::string device; // "net_pcap0,rx_pcap=a.pcap", or a PCI address
        std::uint16_t queues = 1;
        std::uint16_t rx_ring_size = 1024;
        std::uint16_t tx_ring_size = 1024;
        std::uint16_t mtu = 1500;
        bool promiscuous = true;
    };

    // Throws Error(ErrorKind::port) naming the port, the device and the step.
    Ethdev(std::string port_name, const Options& options, const Mempool& pool);
    ~Ethdev();
    Ethdev(const Ethdev&) = delete;
    Ethdev& operator=(const Ethdev&) = delete;

    // Stops, frees what the device holds, and takes it off its bus. Harmless the second time.
    void close();

    [[nodiscard]] std::uint16_t id() const { return id_; }
    [[nodiscard]] const std::string& driver() const { return driver_; }
    // The ring behind txq `qid` of a net_ring device. Throws Error when the device is another.
    [[nodiscard]] rte_ring* tx_ring(std::uint16_t qid) const;

  private:
    [[noreturn]] void fail(const std::string& step, int result, const std::string& hint = {}) const;
    void open();
    void configure(const Mempool& pool);

    std::string port_name_;
    Options options_;
    std::string name_;
    std::string driver_;
    std::uint16_t id_ = 0;
    bool open_ = false;
};

} // namespace dpdk
