// SPDX-License-Identifier: BSD-3-Clause
// A ring of mbufs with any number of producers and one consumer.
#include "dpdk/packet_ring.hpp"

#include <atomic>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dpdk/error.hpp"

namespace dpdk {
namespace {

std::atomic<unsigned> made{0};

} // namespace

PacketRing::PacketRing(std::uint32_t size)
    : ring_(rte_ring_create(("packets" + std::to_string(made.fetch_add(1))).c_str(), size,
                            static_cast<int>(rte_socket_id()), RING_F_MP_RTS_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ)) {
    if (ring_ == nullptr) {
        throw Error(ErrorKind::eal, rte_errno != 0 ? rte_errno : ENOMEM,
                    "no memory for a ring of " + std::to_string(size) + " packets: " + rte_strerror(rte_errno),
                    "raise eal.memory_mb");
    }
}

PacketRing::~PacketRing() {
    clear();
    rte_ring_free(ring_);
}

std::uint32_t PacketRing::clear() {
    std::uint32_t freed = 0;
    void* packet = nullptr;
    while (rte_ring_dequeue(ring_, &packet) == 0) {
        rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
        ++freed;
    }
    return freed;
}

} // namespace dpdk
