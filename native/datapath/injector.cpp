// SPDX-License-Identifier: BSD-3-Clause
// The control side's way to send.
#include "datapath/injector.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <unistd.h>

#include <rte_cycles.h>

namespace datapath {
namespace {

constexpr unsigned wait_step_us = 50;

} // namespace

Injector::Injector(PmdPlan::Output output, std::shared_ptr<dpdk::Mempool> pool, defer::DeferralConfig deferral)
    : pool_(std::move(pool))
    , handoff_(dynamic_cast<const HandoffPort*>(output.port.get())) {
    plan_.outputs.push_back(std::move(output));
    deferral.ticks_per_us = static_cast<double>(rte_get_tsc_hz()) / 1e6;
    owner_.read = [](void*) { return rte_rdtsc(); };
    owner_.max_stall = static_cast<std::uint64_t>(static_cast<double>(deferral.max_stall_us) * deferral.ticks_per_us);
    work_ = std::make_unique<PmdWork>(plan_, deferral, owner_);
}

std::size_t Injector::inject(std::span<const std::string_view> frames, unsigned timeout_ms) {
    const std::uint64_t deadline = rte_rdtsc() + rte_get_tsc_hz() / 1000 * timeout_ms;
    std::size_t taken = 0;
    work_->acquire();
    while (taken < frames.size()) {
        owner_.now = rte_rdtsc();
        owner_.waited = 0;
        const auto some = frames.subspan(taken, std::min<std::size_t>(max_batch, frames.size() - taken));
        if (!fill_batch(some, deadline)) {
            break;
        }
        const std::uint16_t sent = send_batch();
        taken += sent;
        if (sent < some.size()) {
            break;
        }
    }
    (void)work_->deferral.do_all_work();
    work_->release();
    // Nobody has it until the next time: not even a DMA device may be held.
    (void)work_->outputs.front().port->drain_txq(work_->outputs.front().qid, timeout_ms);
    return taken;
}

// All of them, or none: then the time is over.
bool Injector::fill_batch(std::span<const std::string_view> frames, std::uint64_t deadline) {
    Batch& batch = work_->outputs.front().batch;
    while (batch.count < frames.size() ||
           (handoff_ != nullptr && handoff_->waiting() + frames.size() > HandoffPort::size)) {
        rte_mbuf* packet = batch.count < frames.size() ? make_packet(frames[batch.count]) : nullptr;
        if (packet != nullptr) {
            batch.packets[batch.count++] = packet;
        } else if (rte_rdtsc() > deadline) {
            (void)batch.drop_from(0);
            return false;
        } else {
            usleep(wait_step_us);
        }
    }
    return true;
}

std::uint16_t Injector::send_batch() {
    PmdWork::Output& output = work_->outputs.front();
    if (output.captured != nullptr) {
        output.captured->add(output.batch.packets, output.batch.count, Direction::tx, output.qid, owner_.now);
    }
    owner_.now = rte_rdtsc(); // filling the batch is no part of sending it
    Sent sent;
    if (output.port->send(output.qid, output.batch, sent) == -EINPROGRESS) {
        work_->deferral.defer(output.target, static_cast<std::uint32_t>(sent.bytes));
    }
    (void)work_->deferral.do_iteration();
    return static_cast<std::uint16_t>(sent.packets + sent.handed_over);
}

// In as many segments as it takes.
rte_mbuf* Injector::make_packet(std::string_view frame) const {
    rte_mbuf* first = rte_pktmbuf_alloc(pool_->get());
    if (first == nullptr) {
        return nullptr;
    }
    for (rte_mbuf* segment = first;;) {
        const auto part =
            static_cast<std::uint16_t>(std::min<std::size_t>(frame.size(), rte_pktmbuf_tailroom(segment)));
        std::memcpy(rte_pktmbuf_mtod(segment, char*), frame.data(), part);
        segment->data_len = part;
        first->pkt_len += part;
        frame.remove_prefix(part);
        if (frame.empty()) {
            return first;
        }
        segment->next = rte_pktmbuf_alloc(pool_->get());
        if (segment->next == nullptr) {
            rte_pktmbuf_free(first);
            return nullptr;
        }
        segment = segment->next;
        ++first->nb_segs;
    }
}

} // namespace datapath
