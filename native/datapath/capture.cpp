// SPDX-License-Identifier: BSD-3-Clause
// Copies of the packets that pass a port.
#include "datapath/capture.hpp"

#include <cstring>

#include <rte_cycles.h>

namespace datapath {
namespace {

constexpr unsigned segment_bytes = 2048;      // longer frames take several
constexpr unsigned segments_in_caches = 2048; // of threads

} // namespace

Capture::Capture(const std::string& name, std::uint32_t frames, std::uint32_t snap_bytes)
    : snap_bytes_(snap_bytes)
    , pool_(name, frames + segments_in_caches - 1, segment_bytes)
    , ring_(std::make_unique<dpdk::PacketRing>(frames)) {
}

void Capture::add(rte_mbuf* const* packets, std::uint16_t count, Direction direction, std::uint16_t qid,
                  std::uint64_t now) {
    std::uint16_t lost = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf* copy =
            rte_ring_full(ring_->get()) == 0 ? rte_pktmbuf_copy(packets[i], pool_.get(), 0, snap_bytes_) : nullptr;
        if (copy == nullptr) {
            ++lost;
            continue;
        }
        // No driver sees the copy: what it says for drivers is free for the reader.
        copy->tx_offload = now;
        copy->vlan_tci = static_cast<std::uint16_t>(direction);
        copy->vlan_tci_outer = qid;
        copy->hash.rss = packets[i]->pkt_len;
        if (rte_ring_enqueue(ring_->get(), copy) != 0) {
            rte_pktmbuf_free(copy);
            ++lost;
        }
    }
    if (lost > 0) {
        lost_.fetch_add(lost, std::memory_order_relaxed);
    }
}

rte_mbuf* Capture::read() {
    void* packet = nullptr;
    return ring_ != nullptr && rte_ring_dequeue(ring_->get(), &packet) == 0 ? static_cast<rte_mbuf*>(packet) : nullptr;
}

void Capture::Frame::copy_to(char* buffer) const {
    for (const rte_mbuf* segment = packet_; segment != nullptr; segment = segment->next) {
        std::memcpy(buffer, rte_pktmbuf_mtod(segment, const char*), segment->data_len);
        buffer += segment->data_len;
    }
}

} // namespace datapath
