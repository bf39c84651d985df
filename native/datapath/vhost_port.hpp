// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port: the backend's end of a guest's network device.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "datapath/port.hpp"
#include "datapath/vhost_rxq.hpp"
#include "datapath/vhost_txq.hpp"
#include "dpdk/mempool.hpp"
#include "dpdk/vhost_socket.hpp"

namespace datapath {

class VhostPort final : public Port, private dpdk::VhostEvents {
  public:
    struct Options {
        std::string socket;
        bool client = false;
        std::uint16_t queues = 1; // queue pairs
        bool dma = false;         // DMA channels may copy, as the owners of the txqs bring them
        CopyMode copy = CopyMode::cpu;
        std::uint32_t dma_min_bytes = 0; // see VhostTxq::Options
        unsigned wedge_timeout_ms = 3000;
        unsigned tx_retries_max = 8;
        bool vhost_counters = false; // librte_vhost's own; it reads the header of each packet for them
    };

    VhostPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool);
    ~VhostPort() override;

    // ---- control side ----
    // Opens the socket. Throws dpdk::Error.
    void open();
    [[nodiscard]] std::uint16_t rxq_count() const override { return static_cast<std::uint16_t>(rxqs_.size()); }
    [[nodiscard]] std::uint16_t txq_count() const override { return static_cast<std::uint16_t>(txqs_.size()); }
    [[nodiscard]] RxqStats rxq_stats(std::uint16_t qid) const override { return rxqs_.at(qid).stats(); }
    [[nodiscard]] TxqStats txq_stats(std::uint16_t qid) const override { return txqs_.at(qid).stats(); }
    [[nodiscard]] const TimeCounts* in_flight_times(std::uint16_t qid) const override {
        return &txqs_.at(qid).in_flight_times();
    }
    [[nodiscard]] defer::WorkFunc work_func() const override;
    [[nodiscard]] bool packets_can_wait() const override { return true; } // in the guest's ring
    [[nodiscard]] bool drain(unsigned timeout_ms) override;
    [[nodiscard]] bool drain_txq(std::uint16_t qid, unsigned timeout_ms) override {
        return txqs_.at(qid).drain(timeout_ms);
    }
    void close() override;
    // Every queue moves over when it finds nothing in flight. Throws std::invalid_argument for DMA without a
    // channel that can be used.
    void set_copy(CopyMode mode);
    // Of the queues that have a choice.
    [[nodiscard]] CopyMode copy() const;
    // Queues that a guest has ready for our packets.
    [[nodiscard]] unsigned ready_txqs() const;
    // Which these are.
    [[nodiscard]] std::vector<std::uint16_t> usable_txqs() const;
    // That the last guest's memory was on; -1: not known.
    [[nodiscard]] int numa_node() const { return numa_node_.load(std::memory_order_relaxed); }
    // vhost's number of the guest's device, -1 without a guest.
    [[nodiscard]] int vid() const { return txqs_.front().vid(); }
    // librte_vhost's own counters of a guest's receive or transmit vring; empty without a guest.
    using Counters = std::vector<std::pair<std::string, std::uint64_t>>;
    [[nodiscard]] Counters txq_counters(std::uint16_t qid) const;
    [[nodiscard]] Counters rxq_counters(std::uint16_t qid) const;
    // Guests that came, and guests that left.
    [[nodiscard]] std::uint64_t connects() const { return connects_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t disconnects() const { return disconnects_.load(std::memory_order_relaxed); }
    // Connections that ended without ever being a guest, or by a message that was refused.
    [[nodiscard]] std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

    // ---- owner ----
    void acquire_rxq(std::uint16_t qid) override { rxqs_[qid].acquire(); }
    void release_rxq(std::uint16_t qid) override { rxqs_[qid].release(); }
    void acquire_txq(std::uint16_t qid, Owner& owner, const DmaChannels& channels) override {
        txqs_[qid].acquire(owner, channels);
    }
    void release_txq(std::uint16_t qid) override { txqs_[qid].release(); }
    [[nodiscard]] std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count,
                                        std::uint64_t /*now*/) override {
        return rxqs_[qid].receive(packets, count);
    }
    [[nodiscard]] int send(std::uint16_t qid, Batch& batch, Sent& sent) override {
        return txqs_[qid].send(batch, sent);
    }
    void refuse(std::uint16_t qid, Batch& batch) override { txqs_[qid].refuse(batch); }
    void housekeep_rxq(std::uint16_t qid, const RxqLoad& load) override { rxqs_[qid].housekeep(load); }
    void housekeep_txq(std::uint16_t qid) override { txqs_[qid].housekeep(); }

  private:
    // ---- vhost's event thread ----
    bool device_ready(int vid) override;
    void device_gone(int vid) override;
    void connection_closed(int vid, bool refused) override;
    void vring_changed(int vid, std::uint16_t vring, bool enabled, dpdk::MemoryEffect effect) override;
    void before_vring_switch(int vid, std::uint16_t vring, bool on) override;
    std::uint16_t queue_pairs_once(int vid) override;
    bool vring_started(int vid, std::uint32_t vring) override;
    bool may_start(int vid) override;

    Options options_;
    std::shared_ptr<dpdk::Mempool> pool_;
    std::vector<VhostRxq> rxqs_;
    std::vector<VhostTxq> txqs_;
    std::unique_ptr<dpdk::VhostSocket> socket_;
    std::atomic<std::uint64_t> connects_{0};
    std::atomic<std::uint64_t> disconnects_{0};
    std::atomic<std::uint64_t> failures_{0};
    std::atomic<int> numa_node_{-1};

    // Written by the event thread, and by close() while vhost ends the guest's connection in its thread.
    std::atomic<int> vid_{-1};
    // Python threads inside txq_counters() or rxq_counters(): vhost frees the device after device_gone().
    mutable std::atomic<int> counter_readers_{0};
    // Of each device, also of those that are not ready yet or are not served.
    struct Connection {
        std::vector<bool> vrings_on;
        std::vector<bool> vrings_started; // have been on since the guest came
        std::vector<bool> vrings_paused;  // were on when SET_MEM_TABLE began
        bool has_too_many_queues = false; // logged once
        bool knows_queue_pairs = false;   // GET_QUEUE_NUM was answered
        bool was_guest = false;
        bool turned_away = false; // another was there
    };
    std::mutex connections_mutex_; // other peers may still talk while close() ends the guest's connection
    std::map<int, Connection> connections_;
};

} // namespace datapath
