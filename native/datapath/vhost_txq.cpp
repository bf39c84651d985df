// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: the owner's side.
#include "datapath/vhost_txq.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_vhost.h>

namespace datapath {

void VhostTxq::configure(std::uint16_t qid, Options options) {
    qid_ = qid;
    options_ = std::move(options);
    request_mode(options_.mode);
    control_side_.read = [](void*) { return rte_rdtsc(); };
    control_side_.max_stall = std::numeric_limits<std::uint64_t>::max();
    choice_.configure(options_.dma_min_bytes, static_cast<double>(rte_get_tsc_hz()) / 1e6);
    wedge_timeout_ = rte_get_tsc_hz() / 1000 * options_.wedge_timeout_ms;
}

void VhostTxq::acquire(Owner& owner, const DmaChannels& channels) {
    own(owner);
    if (!options_.dma) {
        return;
    }
    owner.dma_holds.push_back(&hold_);
    channels_ = channels;
    if (ledger_.outstanding() == 0) {
        hold_.let_go();
    }
    can_use_dma_.store(!channels_.empty(), std::memory_order_relaxed);
}

void VhostTxq::own(Owner& owner) {
    while (!lease_.try_acquire()) {
        rte_pause(); // the event thread is finishing a device in our absence: bounded
    }
    owner_ = &owner;
}

void VhostTxq::release() {
    publish();
    std::erase(owner_->dma_holds, &hold_);
    owner_ = &control_side_;
    lease_.release();
}

int VhostTxq::process_async(bool force) {
    (void)take_handed_back();
    if (ledger_.unclaimed() == 0) {
        return 0;
    }
    if (!ledger_.oldest_done()) {
        if (!hold_.usable()) [[unlikely]] {
            watch_channel(); // before somebody waits for it
        }
        const std::uint64_t start = owner_->now;
        const std::uint32_t returned = poll();
        const std::uint64_t cycles = owner_->now - start;
        owner_->count_cycles(stats_, &TxqStats::complete_cycles, returned > 0, cycles);
        if (mode_ == CopyMode::automatic) {
            returned > 0 ? choice_.finished(returned, cycles) : choice_.checked_in_vain(cycles);
        }
    }
    if (ledger_.unclaimed() == 0) {
        return 0; // given up just now
    }
    if (ledger_.oldest_done()) {
        ledger_.claim_oldest();
        return 0;
    }
    if (!force) {
        return -EINPROGRESS;
    }
    stats_.given_up += ledger_.give_up_oldest();
    return -ETIMEDOUT;
}

std::uint32_t VhostTxq::poll() {
    const std::uint32_t drained = take_handed_back();
    const int vid = lease_.vid();
    if (vid < 0 || ledger_.outstanding() == 0 || !hold_.usable()) {
        owner_->now = rte_rdtsc();
        return drained;
    }
    rte_mbuf* returned[Async::max_poll];
    const std::uint16_t count = Async::poll(vid, vring(), returned, Async::max_poll, *hold_.channel());
    owner_->now = rte_rdtsc();
    if (count > 0) {
        take_back(count);
    }
    return drained + count;
}

// Frees by count, not by pointer. The event thread may have drained older packets since the owner last looked; then the
// packets that poll() returned are not the oldest of mbufs_. Each packet is freed once, and only after vhost returned
// it.
void VhostTxq::take_back(std::uint32_t packets) {
    std::uint32_t delivered = packets;
    if (undelivered_.load(std::memory_order_relaxed) > 0) [[unlikely]] {
        delivered -= count_undelivered(packets);
    }
    stats_.bytes_dma += mbufs_.bytes_of_oldest(packets);
    mbufs_.free_oldest(packets);
    stats_.complete(ledger_.take_back(delivered, [this](std::uint64_t submitted_at) {
        if (owner_->perf_metrics) {
            in_flight_times_.record(owner_->now - submitted_at);
        }
    }));
    if (delivered < packets) [[unlikely]] {
        const auto lost = ledger_.take_back(packets - delivered, [](std::uint64_t) {});
        stats_.given_up += lost.completed - lost.late;
    }
    owner_->completions += packets;
}

// The ledger's youngest `undelivered_` packets never reach the guest. Returns how many of its oldest `packets` are
// among them.
std::uint32_t VhostTxq::count_undelivered(std::uint32_t packets) {
    const std::uint32_t undelivered = undelivered_.load(std::memory_order_acquire);
    const std::uint32_t before = ledger_.outstanding() - std::min(undelivered, ledger_.outstanding());
    const std::uint32_t lost = packets - std::min(packets, before);
    undelivered_.fetch_sub(std::min(lost, undelivered), std::memory_order_relaxed);
    return lost;
}

// What the event thread drained may include packets of a submit that this thread has yet to write down, or of
// a poll it has yet to take back; both are counts in submit order, so the rest is taken next time.
std::uint32_t VhostTxq::take_handed_back() {
    if (handed_back_.load(std::memory_order_relaxed) == 0) [[likely]] {
        return 0;
    }
    const std::uint32_t packets = std::min(handed_back_.load(std::memory_order_acquire), ledger_.outstanding());
    handed_back_.fetch_sub(packets, std::memory_order_relaxed);
    owner_->now = rte_rdtsc(); // the youngest batch may be newer than the last reading
    take_back(packets);
    return packets;
}

void VhostTxq::housekeep() {
    (void)take_handed_back();
    watch_channel();
    if (ledger_.quarantined() > 0 || lease_.asked_back()) {
        (void)poll();
    }
    lease_.answer([this] {
        lost_ = ledger_.outstanding() > 0 && hold_.channel()->use->cannot_be_stopped();
        if (ledger_.outstanding() > 0 && !lost_) {
            return false;
        }
        hold_.let_go();
        return true;
    });
    publish();
}

bool VhostTxq::drain(unsigned timeout_ms) {
    own(control_side_);
    const std::uint64_t deadline = rte_rdtsc() + rte_get_tsc_hz() / 1000 * timeout_ms;
    (void)take_handed_back();
    while (ledger_.outstanding() > 0 && hold_.usable() && (poll() > 0 || rte_rdtsc() < deadline)) {
    }
    while (ledger_.unclaimed() > 0 && ledger_.oldest_done()) {
        ledger_.claim_oldest();
    }
    const bool empty = ledger_.outstanding() == 0;
    if (!empty && hold_.usable()) {
        found_hung_.fetch_add(1, std::memory_order_relaxed);
        hold_.channel()->use->take_out(hold_.channel()->dev_id);
    }
    hold_.let_go();
    release();
    return empty;
}

void VhostTxq::abandon() {
    own(control_side_);
    give_up_in_flight();
    release();
}

void VhostTxq::publish() {
    stats_.in_flight = ledger_.in_flight();
    stats_.quarantined = ledger_.quarantined();
    stats_.engine_changes = choice_.changes();
    stats_.dma_min_bytes = mode_ == CopyMode::automatic ? choice_.min_bytes() : 0;
    stats_.wedges = found_hung_.load(std::memory_order_relaxed);
    published_.publish(stats_);
}

} // namespace datapath
