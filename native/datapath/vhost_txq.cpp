// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: the owner's side.
#include "datapath/vhost_txq.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_pause.h>
#include <rte_vhost.h>

namespace datapath {
namespace {

// How long a batch waits for what is in flight when the engine is to be changed.
constexpr unsigned engine_change_ms = 100;
// After one that was in vain, so many times as long passes until the next.
constexpr std::uint64_t waits_between_engine_changes = 16;

} // namespace

void VhostTxq::configure(std::uint16_t qid, Options options) {
    qid_ = qid;
    options_ = std::move(options);
    engine_ = options_.engine;
    request_engine(engine_);
    control_side_.read = [](void*) { return rte_rdtsc(); };
    control_side_.max_stall = std::numeric_limits<std::uint64_t>::max();
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
    wanted_engine_.store(channels_.empty() ? Engine::cpu : asked_engine_.load(std::memory_order_relaxed),
                         std::memory_order_relaxed);
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

int VhostTxq::send(Batch& batch, Sent& sent) {
    const std::uint64_t start = rte_rdtsc();
    take_handed_back();
    const std::uint64_t bytes = check_lengths(batch);
    const int vid = lease_.vid();
    std::uint16_t taken = 0;
    Drop reason = Drop::no_guest;
    if (vid >= 0 && wedged_.load(std::memory_order_relaxed)) [[unlikely]] {
        reason = Drop::dma_stopped;
    } else if (vid >= 0 && lease_.usable()) {
        const Engine wanted = wanted_engine_.load(std::memory_order_relaxed);
        if (wanted != engine_ && change_engine(wanted)) {
            engine_ = wanted;
        }
        if (engine_ == Engine::dma && !hold_.usable() && ledger_.outstanding() == 0) [[unlikely]] {
            choose_channel();
        }
        reason = Drop::ring_full;
        if (engine_ == Engine::cpu) {
            taken = send_by_cpu(vid, batch, bytes);
        } else {
            taken = hold_.usable() ? send_by_dma(vid, batch, start) : std::uint16_t{0};
            if (taken < batch.count) {
                reason = dma_refusal();
            }
        }
    }
    if (taken < batch.count) {
        sent.bytes -= batch.bytes_from(taken);
        stats_.drop(reason, batch.drop_from(taken));
    }
    batch.count = 0;
    sent.packets += taken;
    sent.bytes += bytes;
    owner_->now = rte_rdtsc();
    (taken > 0 ? stats_.submit_cycles : stats_.wasted_cycles) += owner_->now - start;
    stats_.batches += taken > 0;
    return taken > 0 && engine_ == Engine::dma ? -EINPROGRESS : 0;
}

std::uint16_t VhostTxq::send_by_cpu(int vid, Batch& batch, std::uint64_t bytes) {
    std::uint16_t taken = 0;
    for (unsigned retries = 0;; ++retries) {
        std::uint16_t now = 0;
        {
            const OnTheWay on_the_way(entry_);
            now = rte_vhost_enqueue_burst(vid, vring(), batch.packets + taken, batch.count - taken);
        }
        taken = static_cast<std::uint16_t>(taken + now);
        if (taken == batch.count || now == 0 || retries == options_.tx_retries_max) {
            break;
        }
        ++stats_.retries;
    }
    stats_.submitted += taken;
    stats_.completed += taken;
    stats_.bytes_cpu += bytes - batch.bytes_from(taken);
    rte_pktmbuf_free_bulk(batch.packets, taken);
    return taken;
}

// All that is taken of the batch is one batch of the ledger. Between two tries the guest is told what is done: room in
// its ring comes from what it has seen.
std::uint16_t VhostTxq::send_by_dma(int vid, Batch& batch, std::uint64_t start) {
    if (ledger_.full() || mbufs_.room() < batch.count) {
        return 0;
    }
    std::uint16_t taken = submit(vid, batch.packets, batch.count);
    if (taken > 0) {
        ledger_.append(taken, start);
    }
    for (unsigned retries = 0; taken < batch.count && retries < options_.tx_retries_max; ++retries) {
        const std::uint32_t returned = poll();
        if (taken == 0 && returned == 0) {
            break;
        }
        ++stats_.retries;
        const std::uint16_t more = submit(vid, batch.packets + taken, static_cast<std::uint16_t>(batch.count - taken));
        if (more == 0) {
            break;
        }
        if (taken == 0) {
            ledger_.append(more, start);
        } else {
            ledger_.extend_youngest(more);
        }
        taken = static_cast<std::uint16_t>(taken + more);
    }
    return taken;
}

std::uint16_t VhostTxq::submit(int vid, rte_mbuf** packets, std::uint16_t count) {
    const OnTheWay on_the_way(entry_);
    const std::uint16_t taken = Async::submit(vid, vring(), packets, count, *hold_.channel());
    mbufs_.push(packets, taken);
    stats_.submitted += taken;
    return taken;
}

Drop VhostTxq::dma_refusal() const {
    if (!hold_.usable()) {
        return Drop::dma_stopped;
    }
    const dpdk::DmaChannel& channel = *hold_.channel();
    return rte_dma_burst_capacity(channel.dev_id, channel.vchan) == 0 ? Drop::dma_ring_full : Drop::ring_full;
}

std::uint64_t VhostTxq::check_lengths(Batch& batch) {
    std::uint64_t bytes = 0;
    bool all_filled = true;
    for (std::uint16_t i = 0; i < batch.count; ++i) {
        const std::uint32_t length = batch.packets[i]->pkt_len;
        bytes += length;
        all_filled &= length != 0;
    }
    if (!all_filled) [[unlikely]] {
        drop_zero_length(batch);
    }
    return bytes;
}

void VhostTxq::drop_zero_length(Batch& batch) {
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < batch.count; ++i) {
        rte_mbuf* packet = batch.packets[i];
        if (packet->pkt_len != 0) {
            batch.packets[kept++] = packet;
        } else {
            rte_pktmbuf_free(packet);
            stats_.drop(Drop::zero_length, 1);
        }
    }
    batch.count = kept;
}

// Sync and async enqueue on one vring corrupt it unless nothing is in flight in between: the batch waits, and when that
// lasts too long the next try is left for later.
bool VhostTxq::change_engine(Engine wanted) {
    if ((wanted == Engine::dma && !can_use_dma()) || owner_->now < next_engine_change_) {
        return false;
    }
    const std::uint64_t start = owner_->now;
    const std::uint64_t left = owner_->max_stall - std::min(owner_->waited, owner_->max_stall);
    const std::uint64_t longest = std::min(left, rte_get_tsc_hz() / 1000 * engine_change_ms);
    while (ledger_.outstanding() > 0) {
        if (poll() == 0 && (owner_->now - start > longest || !hold_.usable())) {
            next_engine_change_ = owner_->now + longest * waits_between_engine_changes;
            break;
        }
    }
    owner_->waited += owner_->now - start;
    return ledger_.outstanding() == 0;
}

int VhostTxq::process_async(bool force) {
    take_handed_back();
    if (ledger_.unclaimed() == 0) {
        return 0;
    }
    if (!ledger_.oldest_done()) {
        if (!hold_.usable()) [[unlikely]] {
            watch_channel(); // before somebody waits for it
        }
        const std::uint64_t start = owner_->now;
        const std::uint32_t returned = poll();
        (returned > 0 ? stats_.complete_cycles : stats_.wasted_cycles) += owner_->now - start;
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
    const int vid = lease_.vid();
    if (vid < 0 || ledger_.outstanding() == 0 || !hold_.usable()) {
        owner_->now = rte_rdtsc();
        return 0;
    }
    rte_mbuf* returned[Async::max_poll];
    const std::uint16_t count = Async::poll(vid, vring(), returned, Async::max_poll, *hold_.channel());
    if (count > 0) {
        for (std::uint16_t i = 0; i < count; ++i) {
            stats_.bytes_dma += returned[i]->pkt_len;
        }
        rte_pktmbuf_free_bulk(returned, count); // the oldest of mbufs_: vhost keeps the order
        mbufs_.forget_oldest(count);
    }
    owner_->now = rte_rdtsc();
    if (count > 0) {
        take_back(count);
    }
    return count;
}

void VhostTxq::take_back(std::uint32_t packets) {
    const auto returned = ledger_.take_back(
        packets, [this](std::uint64_t submitted_at) { in_flight_times_.record(owner_->now - submitted_at); });
    owner_->completions += packets;
    stats_.completed += returned.completed;
    stats_.late_completions += returned.late;
}

// What the event thread drained may include packets of a submit that this thread has yet to write down, or of
// a poll it has yet to take back; both are counts in submit order, so the rest is taken next time.
void VhostTxq::take_handed_back() {
    if (handed_back_.load(std::memory_order_relaxed) == 0) [[likely]] {
        return;
    }
    const std::uint32_t packets = std::min(handed_back_.load(std::memory_order_acquire), ledger_.outstanding());
    handed_back_.fetch_sub(packets, std::memory_order_relaxed);
    stats_.bytes_dma += mbufs_.bytes_of_oldest(packets);
    mbufs_.free_oldest(packets);
    take_back(packets);
}

void VhostTxq::housekeep() {
    take_handed_back();
    watch_channel();
    if (ledger_.quarantined() > 0 || lease_.asked_back()) {
        (void)poll();
    }
    if (lease_.asked_back() && lease_.vid() >= 0) {
        lost_ = ledger_.outstanding() > 0 && hold_.channel()->use->cannot_be_stopped();
        if (ledger_.outstanding() == 0 || lost_) {
            hold_.let_go();
            lease_.let_go();
        }
    }
    publish();
}

bool VhostTxq::drain(unsigned timeout_ms) {
    own(control_side_);
    const std::uint64_t deadline = rte_rdtsc() + rte_get_tsc_hz() / 1000 * timeout_ms;
    take_handed_back();
    while (ledger_.outstanding() > 0 && hold_.usable() && (poll() > 0 || rte_rdtsc() < deadline)) {
        take_handed_back();
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
    stats_.wedges = found_hung_.load(std::memory_order_relaxed);
    published_.publish(stats_);
}

} // namespace datapath
