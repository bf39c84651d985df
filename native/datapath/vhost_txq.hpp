// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: packets into the guest's receive vring, by CPU copy or through a DMA
// channel.
//
// Three parties touch it. The owner (a PMD thread, or the control side while no PMD thread has the queue)
// sends, checks and keeps the ledger. vhost's event thread grants and asks back the device, and drains a
// vring that is switched off while it holds the vring's lock; it hands over only how many packets came back,
// never touches the ledger. The control side reads the published counters and asks for another engine.
#pragma once

#include <atomic>
#include <cstdint>

#include "datapath/ledger.hpp"
#include "datapath/mbuf_fifo.hpp"
#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "datapath/statistics.hpp"
#include "datapath/time_counts.hpp"
#include "datapath/vring_lease.hpp"
#include "dpdk/vhost_async.hpp"

namespace datapath {

class VhostTxq {
  public:
    // `channel`: the DMA channel of the thread that will own the queue; nullptr: CPU copy only.
    void configure(std::uint16_t qid, Engine engine, dpdk::DmaChannel* channel);

    // ---- owner ----
    void acquire(Owner& owner);
    void release();
    [[nodiscard]] int send(Batch& batch, Sent& sent);
    // Drops the batch, as the owner can have no more sends in progress.
    void refuse(Batch& batch) { stats_.drop(Drop::work_ring_full, batch.drop_from(0)); }
    // 0: the oldest send in progress is finished. -EINPROGRESS. -ETIMEDOUT: forced, and given up.
    [[nodiscard]] int process_async(bool force);
    // Reaps what no work item waits for, answers a lease that is asked back, publishes.
    void housekeep();

    // ---- control side, no PMD thread owns the queue ----
    // Polls until the engine holds nothing; false: it still did after `timeout_ms`.
    [[nodiscard]] bool drain(unsigned timeout_ms);
    // Gives up what the engine never handed back. Only when the DMA device is stopped or the device gone.
    void abandon();

    // ---- control side, at any time ----
    [[nodiscard]] TxqStats stats() const { return published_.read(); }
    // From submit to the check that brought the last packet back, one for each batch.
    [[nodiscard]] const TimeCounts& in_flight_times() const { return in_flight_times_; }
    // The owner changes the engine when it finds nothing in flight.
    void request_engine(Engine engine) { wanted_engine_.store(engine, std::memory_order_relaxed); }
    [[nodiscard]] Engine engine() const { return wanted_engine_.load(std::memory_order_relaxed); }
    [[nodiscard]] int vid() const { return lease_.vid(); }
    [[nodiscard]] bool has_guest() const { return !lease_.is_back() && lease_.usable(); }

    // ---- vhost's event thread ----
    // The guest is ready, and this vring on. No lock held.
    void device_ready(int vid);
    // The guest leaves: returns when the owner has let go of it, which is within a bounded time. No lock
    // held.
    void device_gone(int vid);
    // The vring's lock is held.
    void vring_off(int vid);
    void vring_on(int vid);

  private:
    // In flight is at most the vring's size; a longer ring than this only leaves part of itself unused.
    static constexpr std::uint32_t max_in_flight = 4096;
    using Async = dpdk::LibrteVhostAsync;

    [[nodiscard]] std::uint16_t vring() const { return static_cast<std::uint16_t>(2 * qid_); }
    // Drops empty packets; returns the bytes of the others.
    [[nodiscard]] std::uint64_t check_lengths(Batch& batch);
    void drop_zero_length(Batch& batch);
    // Both return the packets that the guest's ring took. `bytes`: of the whole batch.
    [[nodiscard]] std::uint16_t send_by_cpu(int vid, Batch& batch, std::uint64_t bytes);
    [[nodiscard]] std::uint16_t send_by_dma(int vid, Batch& batch, std::uint64_t now);
    [[nodiscard]] bool change_engine(Engine wanted);
    // Returns the packets handed back; then the owner's clock is fresh.
    std::uint32_t poll();
    void take_back(std::uint32_t packets);
    void take_handed_back();
    [[nodiscard]] bool channel_usable() const {
        return channel_ != nullptr && !channel_->out_of_use.load(std::memory_order_relaxed);
    }
    void declare_channel_dead(int vid, const char* when);
    void publish();

    std::uint16_t qid_ = 0;
    dpdk::DmaChannel* channel_ = nullptr;
    Engine engine_ = Engine::cpu;
    Ledger ledger_{max_in_flight};
    MbufFifo mbufs_{max_in_flight};
    TxqStats stats_;
    TimeCounts in_flight_times_;
    Owner* owner_ = &control_side_;
    Owner control_side_; // when no PMD thread owns the queue

    VringLease lease_;
    std::atomic<std::uint32_t> handed_back_{
        0}; // packets drained by the event thread that the ledger does not know of yet
    std::atomic<Engine> wanted_engine_{Engine::cpu};
    bool attached_ = false; // event thread only: librte_vhost's async state of this vring exists
    Published<TxqStats> published_;
};

} // namespace datapath
