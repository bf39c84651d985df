// SPDX-License-Identifier: BSD-3-Clause
// The way to a txq for those who do not own it.
#include "datapath/handoff_port.hpp"

#include <rte_cycles.h>

namespace datapath {

std::uint64_t HandoffPort::dropped() const {
    std::uint64_t packets = left_.load(std::memory_order_relaxed);
    for (const auto& txq : txqs_) {
        packets += txq.published.read().drops[static_cast<std::size_t>(Drop::handoff_full)];
    }
    return packets;
}

int HandoffPort::send(std::uint16_t qid, Batch& batch, Sent& sent) {
    Txq& txq = txqs_[qid];
    const auto taken = static_cast<std::uint16_t>(
        rte_ring_enqueue_burst(ring_->get(), reinterpret_cast<void**>(batch.packets), batch.count, nullptr));
    if (taken < batch.count) {
        txq.stats.drop(Drop::handoff_full, batch.drop_from(taken));
    }
    batch.clear();
    sent.handed_over += taken;
    txq.owner->now = rte_rdtsc();
    return 0;
}

} // namespace datapath
