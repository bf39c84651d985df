// SPDX-License-Identifier: BSD-3-Clause
// The contract of a port: where packets enter or leave.
//
// A queue has one owner at a time: its PMD thread, or the control side while no PMD thread has it. Functions
// in the band "owner" are for the queue's owner; the others for the control side.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <rte_mbuf.h>

#include "datapath/statistics.hpp"
#include "defer/work_item.hpp"

namespace datapath {

inline constexpr std::uint16_t max_batch = 32;

// Packets on their way to one txq.
struct Batch {
    std::uint16_t count = 0;
    rte_mbuf* packets[max_batch];
};

// What the owner of queues lends to them.
struct Owner {
    std::uint64_t now = 0; // the TSC as somebody in this thread read it last: reading it costs as much as a check
    std::uint64_t completions = 0; // packets that engines handed back
};

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
    // The function for sends still in progress; nullptr: this port's sends are finished when they return.
    [[nodiscard]] virtual defer::WorkFunc work_func() const { return nullptr; }
    // No PMD thread owns any queue. Waits up to `timeout_ms` for what the engines still hold; false: some is
    // left.
    [[nodiscard]] virtual bool drain(unsigned timeout_ms) = 0;
    // Lets go of devices and sockets, and of mbufs that are held. After drain().
    virtual void close() = 0;

    // ---- owner ----
    // Ownership begins and ends; what the owner lends lasts as long.
    virtual void acquire_rxq(std::uint16_t /*qid*/) {}
    virtual void release_rxq(std::uint16_t /*qid*/) {}
    virtual void acquire_txq(std::uint16_t /*qid*/, Owner& /*owner*/) {}
    virtual void release_txq(std::uint16_t /*qid*/) {}
    // Up to `count` packets, at most max_batch. They are the caller's. `now`: TSC, as the caller read it last.
    [[nodiscard]] virtual std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count,
                                                std::uint64_t now) = 0;
    // Takes all packets of the batch and empties it. 0: finished. -EINPROGRESS: work_func() finishes it.
    // `tx_packets` grows by the packets that were not dropped.
    [[nodiscard]] virtual int send(std::uint16_t qid, Batch& batch, std::uint64_t& tx_packets) = 0;
    // Once in many iterations: events of the far side, completions that no work item waits for, counters made
    // public.
    virtual void housekeep_rxq(std::uint16_t qid) = 0;
    virtual void housekeep_txq(std::uint16_t qid) = 0;

  private:
    std::string name_;
};

} // namespace datapath
