// SPDX-License-Identifier: BSD-3-Clause
// A ring of mbufs with any number of producers and one consumer.
#pragma once

#include <cstdint>
#include <string>

struct rte_mbuf;
struct rte_ring;

namespace dpdk {

class PacketRing {
  public:
    // Holds `size` packets, a power of two, and keeps the order of each producer. A producer that loses its CPU in the
    // middle holds up no other. Throws Error(ENOMEM).
    explicit PacketRing(std::uint32_t size);
    // Frees what is in it.
    ~PacketRing();
    PacketRing(const PacketRing&) = delete;
    PacketRing& operator=(const PacketRing&) = delete;

    [[nodiscard]] rte_ring* get() const { return ring_; }
    // Frees what is in it; returns the packets. Consumer.
    std::uint32_t clear();

  private:
    rte_ring* ring_;
};

} // namespace dpdk
