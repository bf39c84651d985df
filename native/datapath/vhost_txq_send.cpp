// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: a batch on its way to the guest, by the one engine or the other.
#include "datapath/vhost_txq.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_vhost.h>

namespace datapath {
namespace {

constexpr std::uint64_t mergeable_buffers = 1ULL << 15; // VIRTIO_NET_F_MRG_RXBUF, virtio 1.2 section 5.1.3

// How long a batch waits for what is in flight when the engine is to be changed.
constexpr unsigned engine_change_ms = 100;
// After one that was in vain, so many times as long passes until the next.
constexpr std::uint64_t waits_between_engine_changes = 16;

} // namespace

int VhostTxq::send(Batch& batch, Sent& sent) {
    const bool is_timed = owner_->perf_metrics || asked_mode_.load(std::memory_order_relaxed) == CopyMode::automatic;
    const std::uint64_t start = is_timed ? rte_rdtsc() : owner_->now;
    (void)take_handed_back();
    std::uint32_t longest = 0;
    std::uint64_t bytes = check_lengths(batch, longest);
    const std::uint16_t offered = batch.count;
    const int vid = lease_.vid();
    std::uint16_t taken = 0;
    Drop reason = Drop::no_guest;
    if (vid >= 0 && wedged_.load(std::memory_order_relaxed)) [[unlikely]] {
        reason = Drop::dma_stopped;
    } else if (vid >= 0 && lease_.usable()) {
        if (vid != longest_taken_vid_) [[unlikely]] {
            longest_taken_vid_ = vid;
            longest_taken_ = 0;
        }
        choose_engine(offered, bytes, start);
        reason = Drop::ring_full;
        if (engine_ == Engine::cpu || hold_.usable()) {
            taken = send_some(vid, batch, 0, bytes, start);
            if (taken < batch.count) [[unlikely]] {
                taken = send_past_too_long(vid, batch, taken, bytes, start);
            }
        }
        if (engine_ == Engine::dma && taken < batch.count) {
            reason = dma_refusal(*batch.packets[taken]);
        }
    }
    if (taken == offered) [[likely]] {
        longest_taken_ = std::max(longest_taken_, longest);
        batch.clear();
    } else {
        bytes -= batch.bytes_from(taken);
        stats_.drop(reason, batch.leave_from(taken));
    }
    sent.packets += taken;
    sent.bytes += bytes;
    owner_->now = rte_rdtsc();
    owner_->count_cycles(stats_, &TxqStats::submit_cycles, taken > 0, owner_->now - start);
    stats_.batches += taken > 0;
    if (mode_ == CopyMode::automatic && taken == offered && taken > 0) {
        choice_.sent(engine_, taken, bytes, owner_->now - cost_since_);
    }
    return taken > 0 && engine_ == Engine::dma ? -EINPROGRESS : 0;
}

std::uint16_t VhostTxq::send_some(int vid, Batch& batch, std::uint16_t from, std::uint64_t bytes, std::uint64_t start) {
    return engine_ == Engine::cpu ? send_by_cpu(vid, batch, from, bytes) : send_by_dma(vid, batch, from, start);
}

// A packet that is longer than the guest's buffers, or needs more copies than the DMA ring has room for, would be taken
// for a full ring, and with it all behind it. So when one is refused that is longer than any before, the first shorter
// one behind it is tried. Until that is taken nobody knows which it was.
std::uint16_t VhostTxq::send_past_too_long(int vid, Batch& batch, std::uint16_t taken, std::uint64_t& bytes,
                                           std::uint64_t start) {
    while (taken < batch.count && batch.packets[taken]->pkt_len > longest_taken_) {
        const std::uint32_t length = batch.packets[taken]->pkt_len;
        const Drop reason = engine_ == Engine::dma ? dma_refusal(*batch.packets[taken]) : Drop::ring_full;
        rte_mbuf** const end = batch.packets + batch.count;
        rte_mbuf** const shorter =
            std::find_if(batch.packets + taken, end, [length](const rte_mbuf* p) { return p->pkt_len < length; });
        std::uint64_t features = 0;
        const bool has_one_buffer =
            rte_vhost_get_negotiated_features(vid, &features) == 0 && (features & mergeable_buffers) == 0;
        if (shorter == end || (reason == Drop::ring_full && !has_one_buffer)) {
            break; // a ring of mergeable buffers has several for it, when it has some
        }
        rte_mbuf* refused[max_batch];
        const auto refusals = static_cast<std::uint16_t>(shorter - (batch.packets + taken));
        std::copy_n(batch.packets + taken, refusals, refused);
        std::copy(shorter, end, batch.packets + taken);
        batch.count = static_cast<std::uint16_t>(batch.count - refusals);
        const std::uint16_t now = send_some(vid, batch, taken, batch.bytes_from(taken), start);
        if (now == taken) {
            std::copy_backward(batch.packets + taken, batch.packets + batch.count, end);
            std::copy_n(refused, refusals, batch.packets + taken);
            batch.count = static_cast<std::uint16_t>(batch.count + refusals);
            break;
        }
        for (std::uint16_t i = 0; i < refusals; ++i) {
            bytes -= refused[i]->pkt_len;
            rte_pktmbuf_free(refused[i]);
        }
        stats_.drop(reason == Drop::ring_full ? Drop::too_long : reason, refusals);
        taken = now;
    }
    return taken;
}

std::uint16_t VhostTxq::send_by_cpu(int vid, Batch& batch, std::uint16_t from, std::uint64_t bytes) {
    std::uint16_t taken = from;
    for (unsigned retries = 0;; ++retries) {
        std::uint16_t now = 0;
        {
            std::optional<OnTheWay> on_the_way;
            if (options_.dma) { // without DMA the event thread never waits for an owner
                on_the_way.emplace(entry_);
            }
            now = rte_vhost_enqueue_burst(vid, vring(), batch.packets + taken, batch.count - taken);
        }
        taken = static_cast<std::uint16_t>(taken + now);
        if (taken == batch.count || now == 0 || retries == options_.tx_retries_max) {
            break;
        }
        ++stats_.retries;
    }
    stats_.submitted += taken - from;
    stats_.completed += taken - from;
    stats_.bytes_cpu += bytes - batch.bytes_from(taken);
    rte_pktmbuf_free_bulk(batch.packets + from, taken - from);
    return taken;
}

// All that is taken of the batch is one batch of the ledger. Between two tries the guest is told what is done: room in
// its ring comes from what it has seen.
std::uint16_t VhostTxq::send_by_dma(int vid, Batch& batch, std::uint16_t from, std::uint64_t start) {
    if (ledger_.full() || mbufs_.room() < batch.count) {
        return from;
    }
    std::uint16_t taken = from;
    const auto write_down = [&](std::uint16_t packets) {
        (void)take_handed_back(); // packets drained while submit() waited for the lock are older than these
        if (taken == 0) {
            ledger_.append(packets, start);
        } else {
            ledger_.extend_youngest(packets);
        }
        taken = static_cast<std::uint16_t>(taken + packets);
    };
    const auto submit_rest = [&] {
        return submit(vid, batch.packets + taken, static_cast<std::uint16_t>(batch.count - taken));
    };
    if (const std::uint16_t packets = submit_rest(); packets > 0) {
        write_down(packets);
    }
    for (unsigned retries = 0; taken < batch.count && retries < options_.tx_retries_max; ++retries) {
        const std::uint32_t returned = poll();
        if (taken == from && returned == 0) {
            break;
        }
        ++stats_.retries;
        const std::uint16_t packets = submit_rest();
        if (packets == 0) {
            break;
        }
        write_down(packets);
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

// A packet needs a copy for each of its segments, at the least.
Drop VhostTxq::dma_refusal(const rte_mbuf& packet) const {
    if (!hold_.usable()) {
        return Drop::dma_stopped;
    }
    const dpdk::DmaChannel& channel = *hold_.channel();
    const bool has_room = rte_dma_burst_capacity(channel.dev_id, channel.vchan) >= packet.nb_segs;
    return has_room ? Drop::ring_full : Drop::dma_ring_full;
}

std::uint64_t VhostTxq::check_lengths(Batch& batch, std::uint32_t& longest) {
    std::uint64_t bytes = 0;
    std::uint32_t shortest = UINT32_MAX;
    const std::uint16_t count = batch.count;
#pragma GCC unroll 4
    for (std::uint16_t i = 0; i < count; ++i) {
        const std::uint32_t length = batch.packets[i]->pkt_len;
        bytes += length;
        longest = std::max(longest, length);
        shortest = std::min(shortest, length);
    }
    if (shortest == 0) [[unlikely]] {
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

void VhostTxq::choose_engine(std::uint16_t packets, std::uint64_t bytes, std::uint64_t now) {
    const CopyMode mode = asked_mode_.load(std::memory_order_relaxed);
    if (mode != mode_ && mode == CopyMode::automatic) {
        choice_.begin();
    }
    mode_ = mode;
    Engine wanted = Engine::cpu;
    if (can_use_dma()) {
        wanted = mode_ == CopyMode::automatic ? choice_.choose(packets, bytes, ledger_.outstanding() > 0, now)
                                              : static_cast<Engine>(mode_);
    }
    cost_since_ = owner_->now;
    if (wanted != engine_) {
        change_engine(wanted, now);
    }
    if (engine_ == Engine::dma && !hold_.usable() && ledger_.outstanding() == 0) [[unlikely]] {
        choose_channel();
    }
}

// Sync and async enqueue on one vring corrupt it unless nothing is in flight in between: the batch waits, and when that
// lasts too long the next try is left for later.
void VhostTxq::change_engine(Engine wanted, std::uint64_t now) {
    if (ledger_.outstanding() == 0) {
        engine_ = wanted;
        return;
    }
    if (now < next_engine_change_) {
        return;
    }
    const std::uint64_t left = owner_->max_stall - std::min(owner_->waited, owner_->max_stall);
    const std::uint64_t longest = std::min(left, rte_get_tsc_hz() / 1000 * engine_change_ms);
    while (ledger_.outstanding() > 0) {
        if (poll() == 0 && (owner_->now - now > longest || !hold_.usable() || !lease_.usable())) {
            break;
        }
    }
    cost_since_ = owner_->now;
    const std::uint64_t waited = owner_->now - now;
    owner_->waited += waited;
    if (ledger_.outstanding() == 0) {
        engine_ = wanted;
        choice_.waited(waited, owner_->now);
    } else {
        next_engine_change_ = owner_->now + longest * waits_between_engine_changes;
        choice_.stays_on_dma(waited, owner_->now);
    }
}

} // namespace datapath
