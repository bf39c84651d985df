// SPDX-License-Identifier: BSD-3-Clause
// The way to a txq for those who do not own it: they send here, and the thread that owns the txq takes it from here and
// sends it on. So a vring is never raced for, and what one thread sends keeps its order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rte_ring.h>

#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "dpdk/packet_ring.hpp"

namespace datapath {

class HandoffPort final : public Port {
  public:
    static constexpr std::uint32_t size = 1024; // packets: as many as a usual vring has

    // A txq for each of the `senders`, one rxq.
    HandoffPort(std::string name, std::uint16_t senders)
        : Port(std::move(name))
        , ring_(std::make_unique<dpdk::PacketRing>(size))
        , txqs_(senders) {}

    // ---- control side ----
    [[nodiscard]] std::uint16_t rxq_count() const override { return 1; }
    [[nodiscard]] std::uint16_t txq_count() const override { return static_cast<std::uint16_t>(txqs_.size()); }
    [[nodiscard]] RxqStats rxq_stats(std::uint16_t /*qid*/) const override { return {}; }
    [[nodiscard]] TxqStats txq_stats(std::uint16_t qid) const override { return txqs_.at(qid).published.read(); }
    [[nodiscard]] bool takes_from_outside() const override { return false; }
    [[nodiscard]] bool drain(unsigned /*timeout_ms*/) override { return waiting() == 0; }
    // No thread sends here or takes from here. What is left is dropped.
    void close() override { left_ += ring_->clear(); }
    // Gives the memory back, when nobody asks any more.
    void free() { ring_.reset(); }
    // Packets that found no room, of all senders, and those that were left at the end.
    [[nodiscard]] std::uint64_t dropped() const;
    // Packets that the owner of the txq has yet to take.
    [[nodiscard]] std::uint32_t waiting() const { return rte_ring_count(ring_->get()); }

    // ---- owner ----
    void acquire_txq(std::uint16_t qid, Owner& owner, const DmaChannels& /*channels*/) override {
        txqs_[qid].owner = &owner;
    }
    void release_txq(std::uint16_t qid) override {
        housekeep_txq(qid);
        txqs_[qid].owner = nullptr;
    }
    [[nodiscard]] std::uint16_t receive(std::uint16_t /*qid*/, rte_mbuf** packets, std::uint16_t count,
                                        std::uint64_t /*now*/) override {
        return static_cast<std::uint16_t>(
            rte_ring_dequeue_burst(ring_->get(), reinterpret_cast<void**>(packets), count, nullptr));
    }
    [[nodiscard]] int send(std::uint16_t qid, Batch& batch, Sent& sent) override;
    void refuse(std::uint16_t qid, Batch& batch) override {
        txqs_[qid].stats.drop(Drop::work_ring_full, batch.drop_from(0));
    }
    void housekeep_rxq(std::uint16_t /*qid*/, const RxqLoad& /*load*/) override {}
    void housekeep_txq(std::uint16_t qid) override { txqs_[qid].published.publish(txqs_[qid].stats); }

  private:
    struct alignas(64) Txq {
        Owner* owner = nullptr;
        TxqStats stats;
        Published<TxqStats> published;
    };

    std::unique_ptr<dpdk::PacketRing> ring_;
    std::atomic<std::uint64_t> left_{0}; // packets at the end
    std::vector<Txq> txqs_;
};

} // namespace datapath
