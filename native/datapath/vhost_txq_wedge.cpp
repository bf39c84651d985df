// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: a DMA channel that hands nothing back any more.
//
// vhost never recovers a vring whose copies failed or never finish. So a device that hangs is taken out of use and
// stopped by the last of its users; then what it was given is freed, and the vring waits for a new guest. A queue with
// nothing in flight goes on at once, on another channel or by CPU copy.
#include <algorithm>
#include <utility>

#include <rte_cycles.h>

#include "datapath/vhost_txq.hpp"

namespace datapath {
namespace {

constexpr std::uint64_t looks_before_a_wedge = 16; // at least

} // namespace

void VhostTxq::choose_channel() {
    hold_.let_go();
    for (dpdk::DmaChannel* candidate : channels_) {
        if (hold_.take(*candidate)) {
            return;
        }
    }
    can_use_dma_.store(false, std::memory_order_relaxed);
    engine_ = Engine::cpu;
}

// Only time in which somebody looked counts, or waited and asked: a process that was stopped for a while finds its
// copies unfinished too.
bool VhostTxq::hangs() {
    const std::uint64_t now = rte_rdtsc();
    const std::uint64_t since = now - std::exchange(last_look_, now);
    const std::uint64_t handed_back = stats_.submitted - ledger_.outstanding();
    if (ledger_.outstanding() == 0 || handed_back != std::exchange(handed_back_at_look_, handed_back)) {
        silent_ = 0;
        return false;
    }
    const std::uint64_t asking = std::min(owner_->waited, owner_->max_stall);
    silent_ += std::min(since, std::max(wedge_timeout_ / looks_before_a_wedge, asking));
    return silent_ >= wedge_timeout_;
}

void VhostTxq::watch_channel() {
    if (hold_.held()) {
        const dpdk::DmaChannel& channel = *hold_.channel();
        if (hangs()) {
            found_hung_.fetch_add(1, std::memory_order_relaxed);
            channel.use->take_out(channel.dev_id);
        }
        if (channel.use->usable()) {
            return;
        }
        hold_.let_go();
        if (ledger_.outstanding() == 0) {
            choose_channel();
        }
    }
    if (ledger_.outstanding() > 0 && hold_.channel()->use->stopped()) {
        wedged_.store(true, std::memory_order_release);
        give_up_in_flight();
    }
}

void VhostTxq::give_up_in_flight() {
    (void)take_handed_back(); // the event thread may have drained completed packets before it retired the device
    while (ledger_.unclaimed() > 0) {
        if (ledger_.oldest_done()) {
            ledger_.claim_oldest();
        } else {
            stats_.given_up += ledger_.give_up_oldest();
        }
    }
    (void)ledger_.take_back(ledger_.quarantined(), [](std::uint64_t) {});
    mbufs_.free_oldest(mbufs_.count());
    handed_back_.store(0, std::memory_order_relaxed);
    undelivered_.store(0, std::memory_order_relaxed);
}

} // namespace datapath
