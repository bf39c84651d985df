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
// A device that does not finish in this time is taken out of use, however short the caller's patience is.
constexpr unsigned drain_limit_ms = 5000;

} // namespace

Injector::Injector(PmdPlan::Output output, std::shared_ptr<dpdk::Mempool> pool, defer::DeferralConfig deferral)
    : pool_(std::move(pool)) {
    plan_.outputs.push_back(std::move(output));
    deferral.ticks_per_us = static_cast<double>(rte_get_tsc_hz()) / 1e6;
    owner_.read = [](void*) { return rte_rdtsc(); };
    owner_.max_stall = deferral.max_stall_ticks();
    work_ = std::make_unique<PmdWork>(plan_, deferral, owner_);
    work_->outputs.front().batch.waits = true;
}

std::size_t Injector::inject(std::span<const std::string_view> frames, unsigned timeout_ms) {
    const std::uint64_t patience = rte_get_tsc_hz() / 1000 * timeout_ms;
    Batch& batch = work_->outputs.front().batch;
    std::size_t made = 0;
    work_->acquire();
    for (std::uint64_t deadline = rte_rdtsc() + patience; made < frames.size() || batch.count > 0;) {
        made += fill_batch(frames.subspan(made));
        const std::uint16_t offered = batch.count;
        send_batch();
        if (batch.count < offered) {
            deadline = rte_rdtsc() + patience;
        } else if (rte_rdtsc() > deadline) {
            break;
        } else {
            wait();
        }
    }
    const std::size_t taken = made - batch.drop_from(0);
    (void)work_->deferral.do_all_work();
    work_->release();
    // Nobody has it until the next time: not even a DMA device may be held.
    (void)work_->outputs.front().port->drain_txq(work_->outputs.front().qid, drain_limit_ms);
    return taken;
}

// As far as there are mbufs. Returns how many are new in the batch.
std::size_t Injector::fill_batch(std::span<const std::string_view> frames) {
    Batch& batch = work_->outputs.front().batch;
    const std::uint16_t before = batch.count;
    for (const auto frame : frames.first(std::min<std::size_t>(frames.size(), max_batch - before))) {
        rte_mbuf* const packet = make_packet(frame);
        if (packet == nullptr) {
            break;
        }
        batch.packets[batch.count++] = packet;
    }
    return static_cast<std::size_t>(batch.count - before);
}

void Injector::send_batch() {
    PmdWork::Output& output = work_->outputs.front();
    owner_.now = rte_rdtsc(); // filling the batch is no part of sending it
    owner_.waited = 0;
    if (output.batch.count > 0) {
        output.capture_rest(output.batch, owner_.now);
        Sent sent;
        if (output.port->send(output.qid, output.batch, sent) == -EINPROGRESS) {
            // Without room for a work item, draining the txq at the end finishes the send.
            (void)work_->deferral.defer(output.target, static_cast<std::uint32_t>(sent.bytes));
        }
    }
    (void)work_->deferral.do_iteration();
}

// The guest may leave meanwhile, or a device hang.
void Injector::wait() {
    const PmdWork::Output& output = work_->outputs.front();
    output.port->housekeep_txq(output.qid);
    usleep(wait_step_us);
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
