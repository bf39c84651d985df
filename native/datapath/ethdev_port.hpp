// SPDX-License-Identifier: BSD-3-Clause
// A port on any DPDK ethdev. On net_ring its sends can be asynchronous: in progress until the far side has
// taken the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datapath/ledger.hpp"
#include "datapath/pacer.hpp"
#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "dpdk/ethdev.hpp"

namespace datapath {

class EthdevPort final : public Port {
  public:
    struct Options {
        dpdk::Ethdev::Options device;
        bool async = false;
        double rate_pps = 0; // paces receiving, of all queues together; 0: as fast as it goes
    };

    // Opens and starts the device. Throws dpdk::Error.
    EthdevPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool);

    // ---- control side ----
    [[nodiscard]] const std::string& driver() const { return device_.driver(); }
    // Packets come in while on; a paced or file-backed device then keeps what it has. A device that nothing enters from
    // elsewhere is always open: its rxqs are the only way on for what was sent to it.
    void start_traffic() { receiving_.store(true, std::memory_order_release); }
    void stop_traffic() { receiving_.store(!takes_from_outside(), std::memory_order_release); }
    [[nodiscard]] bool takes_from_outside() const override { return driver() != "net_ring"; }
    [[nodiscard]] std::uint16_t rxq_count() const override { return static_cast<std::uint16_t>(rxqs_.size()); }
    [[nodiscard]] std::uint16_t txq_count() const override { return static_cast<std::uint16_t>(txqs_.size()); }
    [[nodiscard]] RxqStats rxq_stats(std::uint16_t qid) const override { return rxqs_.at(qid).published.read(); }
    [[nodiscard]] TxqStats txq_stats(std::uint16_t qid) const override { return txqs_.at(qid).published.read(); }
    [[nodiscard]] const TimeCounts* in_flight_times(std::uint16_t qid) const override {
        return async_ ? &txqs_.at(qid).in_flight_times : nullptr;
    }
    [[nodiscard]] defer::WorkFunc work_func() const override;
    [[nodiscard]] bool drain(unsigned timeout_ms) override;
    void close() override;

    // ---- owner ----
    void release_rxq(std::uint16_t qid) override { housekeep_rxq(qid, {}); }
    void acquire_txq(std::uint16_t qid, Owner& owner, const DmaChannels& /*channels*/) override {
        txqs_[qid].owner = &owner;
    }
    void release_txq(std::uint16_t qid) override;
    [[nodiscard]] std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count,
                                        std::uint64_t now) override;
    [[nodiscard]] int send(std::uint16_t qid, Batch& batch, Sent& sent) override;
    void refuse(std::uint16_t qid, Batch& batch) override;
    void housekeep_rxq(std::uint16_t qid, const RxqLoad& load) override {
        rxqs_[qid].stats += load;
        rxqs_[qid].published.publish(rxqs_[qid].stats);
    }
    void housekeep_txq(std::uint16_t qid) override;

  private:
    static constexpr std::uint32_t max_batches = 4096;

    struct alignas(64) Rxq {
        bool was_on = false;
        Pacer pacer;
        RxqStats stats;
        Published<RxqStats> published;
    };
    struct alignas(64) Txq {
        rte_ring* ring = nullptr; // of an asynchronous txq
        std::unique_ptr<Ledger> ledger;
        TxqStats stats;
        TimeCounts in_flight_times;
        Owner control_side; // when no PMD thread owns the queue
        Owner* owner = &control_side;
        Published<TxqStats> published;
    };

    [[nodiscard]] int process_async(Txq& txq, bool force);
    // Drops frames that the device does not take: some devices then take none of the others behind. Returns the bytes
    // of those left.
    [[nodiscard]] std::uint64_t check_lengths(Txq& txq, Batch& batch) const;
    [[nodiscard]] std::uint64_t drop_too_long(Txq& txq, Batch& batch) const;
    // Takes back what the far side has taken out of the ring; returns the packets. Then the owner's clock is fresh.
    static std::uint32_t poll(Txq& txq);
    void drop_what_is_left(std::uint16_t qid);

    std::shared_ptr<dpdk::Mempool> pool_;
    dpdk::Ethdev device_;
    std::atomic<bool> receiving_;
    std::uint32_t longest_frame_; // without a VLAN tag
    std::vector<Rxq> rxqs_;
    std::vector<Txq> txqs_;
    bool async_;
};

} // namespace datapath
