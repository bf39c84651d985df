// SPDX-License-Identifier: BSD-3-Clause
// The contract of a port: where packets enter or leave.
//
// A queue has one owner at a time: its PMD thread, or the control side while no PMD thread has it. Functions
// in the band "owner" are for the queue's owner; the others for the control side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <rte_mbuf.h>

#include "datapath/statistics.hpp"
#include "datapath/time_counts.hpp"
#include "defer/clock.hpp"
#include "defer/work_item.hpp"
#include "dpdk/dma_use.hpp"

namespace datapath {

inline constexpr std::uint16_t max_batch = 32;

// Packets on their way to one txq.
struct Batch {
    std::uint16_t count = 0;
    bool waits = false;         // what there is no room for stays in it, and is tried again
    std::uint16_t captured = 0; // of one that waits: so many from the first on
    rte_mbuf* packets[max_batch];

    // Its packets are somebody else's.
    void clear() { count = captured = 0; }
    // Bytes of the packets from the `first` on.
    [[nodiscard]] std::uint64_t bytes_from(std::uint16_t first) const {
        std::uint64_t bytes = 0;
        for (std::uint16_t i = first; i < count; ++i) {
            bytes += packets[i]->pkt_len;
        }
        return bytes;
    }
    // Frees the packets from the `first` on, and empties the batch; returns how many were freed.
    std::uint16_t drop_from(std::uint16_t first) {
        const auto dropped = static_cast<std::uint16_t>(count - first);
        rte_pktmbuf_free_bulk(&packets[first], dropped);
        clear();
        return dropped;
    }
    // Those before the `first` are sent, and the far side has no room for the others now. Returns how many are dropped.
    std::uint16_t leave_from(std::uint16_t first) {
        if (!waits) {
            return drop_from(first);
        }
        std::copy(packets + first, packets + count, packets);
        count = static_cast<std::uint16_t>(count - first);
        captured = count; // as all of it was before it was offered, if anything is
        return 0;
    }
};

// What became of batches: those parts that were not dropped.
struct Sent {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;       // of sends in progress
    std::uint64_t handed_over = 0; // packets to another thread
};

// What the owner of queues lends to them. The clock counts TSC cycles, and packets that engines handed back.
struct Owner : defer::Clock {
    std::uint64_t max_stall = 0; // cycles that it may wait in one turn of its loop
    std::uint64_t longest_stall = 0;
    std::vector<dpdk::DmaHold*> dma_holds; // of its queues
    bool perf_metrics = true;              // its queues count what cycles went for, and times in flight
    std::uint64_t wasted_cycles = 0;       // by its queues, so counted

    // Cycles of a send or a check that moved something, or nothing. `useful`: the counter for the former.
    void count_cycles(TxqStats& stats, std::uint64_t TxqStats::*useful, bool moved_some, std::uint64_t cycles) {
        if (!perf_metrics) {
            return;
        }
        if (moved_some) {
            stats.*useful += cycles;
        } else {
            stats.wasted_cycles += cycles;
            wasted_cycles += cycles;
        }
    }
};

using DmaChannels = std::vector<dpdk::DmaChannel*>;

class Port {
  public:
    explicit Port(std::string name)
        : name_(std::move(name)) {}
    virtual ~Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }

    // ---- control side ----
    [[nodiscard]] virtual std::uint16_t rxq_count() const = 0;
    [[nodiscard]] virtual std::uint16_t txq_count() const = 0;
    [[nodiscard]] virtual RxqStats rxq_stats(std::uint16_t qid) const = 0;
    [[nodiscard]] virtual TxqStats txq_stats(std::uint16_t qid) const = 0;
    // From submit to the check that brought the last packet back, one for each batch that was in progress; nullptr:
    // none ever is.
    [[nodiscard]] virtual const TimeCounts* in_flight_times(std::uint16_t /*qid*/) const { return nullptr; }
    // The function for sends still in progress; nullptr: this port's sends are finished when they return.
    [[nodiscard]] virtual defer::WorkFunc work_func() const { return nullptr; }
    // Whether what rxqs bring comes from elsewhere; if not, all of it was sent to this port's own txqs before.
    [[nodiscard]] virtual bool takes_from_outside() const { return true; }
    // Whether packets of an rxq wait, and none is lost, when it is polled some turns of a thread's loop later.
    [[nodiscard]] virtual bool packets_can_wait() const { return false; }
    // No PMD thread owns any queue. Waits up to `timeout_ms` for what the engines still hold; false: some is
    // left.
    [[nodiscard]] virtual bool drain(unsigned timeout_ms) = 0;
    // The same for one txq, which no PMD thread owns: another may have it then.
    [[nodiscard]] virtual bool drain_txq(std::uint16_t /*qid*/, unsigned /*timeout_ms*/) { return true; }
    // Lets go of devices and sockets, and of mbufs that are held. After drain().
    virtual void close() = 0;

    // ---- owner ----
    // Ownership begins and ends; what the owner lends lasts as long. `channels`: the owner's own, that may copy for the
    // txq, the one to use first.
    virtual void acquire_rxq(std::uint16_t /*qid*/) {}
    virtual void release_rxq(std::uint16_t /*qid*/) {}
    virtual void acquire_txq(std::uint16_t /*qid*/, Owner& /*owner*/, const DmaChannels& /*channels*/) {}
    virtual void release_txq(std::uint16_t /*qid*/) {}
    // Up to `count` packets, at most max_batch. They are the caller's. `now`: TSC, as the caller read it last.
    [[nodiscard]] virtual std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count,
                                                std::uint64_t now) = 0;
    // Takes all packets of the batch and empties it, unless it waits. 0: finished. -EINPROGRESS: work_func() finishes
    // it. `sent` grows.
    [[nodiscard]] virtual int send(std::uint16_t qid, Batch& batch, Sent& sent) = 0;
    // Drops the batch: its send would be one in progress too many.
    virtual void refuse(std::uint16_t qid, Batch& batch) = 0;
    // Once in many iterations: events of the far side, completions that no work item waits for, counters made
    // public.
    virtual void housekeep_rxq(std::uint16_t qid, const RxqLoad& load) = 0;
    virtual void housekeep_txq(std::uint16_t qid) = 0;

  private:
    std::string name_;
};

} // namespace datapath
