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
#include <span>
#include <string>
#include <vector>

#include "datapath/copy_choice.hpp"
#include "datapath/ledger.hpp"
#include "datapath/mbuf_fifo.hpp"
#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "datapath/statistics.hpp"
#include "datapath/time_counts.hpp"
#include "datapath/vring_entry.hpp"
#include "datapath/vring_lease.hpp"
#include "dpdk/vhost_async.hpp"

namespace datapath {

class VhostTxq {
  public:
    struct Options {
        std::string port; // its name
        bool dma = false; // or CPU copy only
        CopyMode mode = CopyMode::cpu;
        std::uint32_t dma_min_bytes = 0; // for CopyMode::automatic; 0: learned
        unsigned wedge_timeout_ms = 0;   // in flight and no completion for so long: the device hangs
        unsigned tx_retries_max = 0;     // tries for the rest of a batch, while there is progress
    };
    void configure(std::uint16_t qid, Options options);

    // ---- owner ----
    // `channels`: the owner's; the first is used, the others take its place when its device is taken out of use.
    void acquire(Owner& owner, const DmaChannels& channels);
    void release();
    [[nodiscard]] int send(Batch& batch, Sent& sent);
    // Drops the batch, as the owner can have no more sends in progress.
    void refuse(Batch& batch) { stats_.drop(Drop::work_ring_full, batch.drop_from(0)); }
    // 0: the oldest send in progress is finished. -EINPROGRESS. -ETIMEDOUT: forced, and given up.
    [[nodiscard]] int process_async(bool force);
    // Reaps what no work item waits for, answers a lease that is asked back, publishes.
    void housekeep();

    // ---- control side, no PMD thread owns the queue ----
    // Polls until the engine holds nothing; false: it still did after `timeout_ms`, and is taken out of use. Nothing is
    // sent by DMA afterwards until a new guest comes.
    [[nodiscard]] bool drain(unsigned timeout_ms);
    // Gives up what the engine never handed back. Only when the DMA device is stopped or the device gone.
    void abandon();

    // ---- control side, at any time ----
    [[nodiscard]] TxqStats stats() const { return published_.read(); }
    // From submit to the check that brought the last packet back, one for each batch.
    [[nodiscard]] const TimeCounts& in_flight_times() const { return in_flight_times_; }
    // The owner changes the engine when it finds nothing in flight.
    void request_mode(CopyMode mode) { asked_mode_.store(mode, std::memory_order_relaxed); }
    // As asked, or the only one there is.
    [[nodiscard]] CopyMode mode() const {
        return can_use_dma() ? asked_mode_.load(std::memory_order_relaxed) : CopyMode::cpu;
    }
    // Its owner has a DMA device that is not out of use; true too where nobody sends.
    [[nodiscard]] bool can_use_dma() const { return can_use_dma_.load(std::memory_order_relaxed); }
    [[nodiscard]] int vid() const { return lease_.vid(); }
    [[nodiscard]] bool has_guest() const { return !lease_.is_back() && lease_.usable(); }

    // ---- vhost's event thread ----
    // The guest is ready, and this vring on. No lock held.
    void device_ready(int vid);
    // The guest leaves. Waits without a limit until the owner has released the device, because vhost unmaps the guest's
    // memory afterwards. Logs a warning after twice drain_limit_ms. No lock held.
    void device_gone();
    // After device_gone(). No other thread may be inside vhost for this vring: vhost only tries the vring's lock.
    void detach(int vid);
    // The locks of all vrings of the guest are held, those of `txqs`, this port's, among them. Where its memory stays,
    // what is in flight may be left to the owner.
    void vring_off(int vid, std::span<VhostTxq> txqs, bool memory_stays);
    void vring_on(int vid);
    // Same locks held; vhost has not switched the vring yet. Drains the packets in flight, unless the owner would wait
    // for too long.
    void finish_before_switch(int vid, std::span<VhostTxq> txqs, bool on);

  private:
    class LockedOut;

    // In flight is at most the vring's size; a longer ring than this only leaves part of itself unused.
    static constexpr std::uint32_t max_in_flight = 4096;
    using Async = dpdk::LibrteVhostAsync;

    [[nodiscard]] std::uint16_t vring() const { return static_cast<std::uint16_t>(2 * qid_); }
    // For messages: "port vm0: txq 0".
    [[nodiscard]] std::string title() const { return "port " + options_.port + ": txq " + std::to_string(qid_); }
    // Drops empty packets; returns the bytes of the others.
    [[nodiscard]] std::uint64_t check_lengths(Batch& batch, std::uint32_t& longest);
    void drop_zero_length(Batch& batch);
    // All return up to which packet of the batch the guest's ring took them; those before `from` are gone already.
    // `bytes`: of the others.
    [[nodiscard]] std::uint16_t send_some(int vid, Batch& batch, std::uint16_t from, std::uint64_t bytes,
                                          std::uint64_t start);
    [[nodiscard]] std::uint16_t send_by_cpu(int vid, Batch& batch, std::uint16_t from, std::uint64_t bytes);
    [[nodiscard]] std::uint16_t send_by_dma(int vid, Batch& batch, std::uint16_t from, std::uint64_t start);
    // `bytes`: of the batch, less those of packets that are dropped here.
    [[nodiscard]] std::uint16_t send_past_too_long(int vid, Batch& batch, std::uint16_t taken, std::uint64_t& bytes,
                                                   std::uint64_t start);
    // Returns the packets taken, from the first on.
    [[nodiscard]] std::uint16_t submit(int vid, rte_mbuf** packets, std::uint16_t count);
    // For the next batch. `now`: the TSC.
    void choose_engine(std::uint16_t packets, std::uint64_t bytes, std::uint64_t now);
    void change_engine(Engine wanted, std::uint64_t now);
    // Returns the packets handed back; then the owner's clock is fresh.
    std::uint32_t poll();
    void take_back(std::uint32_t packets);
    [[nodiscard]] std::uint32_t count_undelivered(std::uint32_t packets);
    // Completes the packets that the event thread drained. Returns their number.
    std::uint32_t take_handed_back();
    // Why vhost did not take all of a batch.
    [[nodiscard]] Drop dma_refusal(const rte_mbuf& packet) const;
    void own(Owner& owner);
    // Nothing is in flight. Takes the first channel that is usable; without one the CPU copies from now on.
    void choose_channel();
    // In flight, and nothing came back for too long. To be asked again and again.
    [[nodiscard]] bool hangs();
    void watch_channel();
    // The device is stopped: what it was given is given up and freed. The vring needs a new guest.
    void give_up_in_flight();
    // `attach`: as the vring's lock is held or not.
    void switch_on(int vid, bool (*attach)(int, std::uint16_t));
    // Housekeeping while nobody else owns the queue.
    void act_for_missing_owner();
    // The device of the channel did not finish in time.
    void take_out_of_use(const std::string& when);
    // `drained`: the number of packets that this round completed.
    [[nodiscard]] bool drain_some(int vid, std::uint16_t& drained);
    // With the locks held; false: something is left to the owner.
    [[nodiscard]] bool finish_in_flight(int vid, std::span<VhostTxq> txqs, bool memory_stays);
    void publish();

    std::uint16_t qid_ = 0;
    Options options_;
    DmaChannels channels_;
    dpdk::DmaHold hold_; // on one of them, or on one of a former owner as long as that has something in flight
    VringEntry entry_;
    // The owner gave up what vhost still counts as in flight: this vring is of no use until a new guest comes.
    std::atomic<bool> wedged_{false};
    bool lost_ = false; // the owner let go of a guest though a device that cannot be stopped holds packets for it
    std::atomic<std::uint32_t> found_hung_{0}; // times, by whoever looked
    std::uint64_t wedge_timeout_ = 0;          // in TSC cycles
    std::uint64_t last_look_ = 0;
    std::uint64_t handed_back_at_look_ = 0;
    std::uint64_t silent_ = 0; // TSC cycles in which looks found nothing handed back
    std::uint64_t next_engine_change_ = 0;
    Engine engine_ = Engine::cpu;   // of the last batch
    CopyMode mode_ = CopyMode::cpu; // as it was asked for when that was sent
    CopyChoice choice_;
    // TSC from which on the last batch's cost counts for the choice. Receiving it is in there where nobody has read the
    // clock since: mbufs that another core has copied from are dear to fill again.
    std::uint64_t cost_since_ = 0;
    std::uint32_t longest_taken_ = 0; // packet, in bytes, by this guest
    int longest_taken_vid_ = -1;
    Ledger ledger_{max_in_flight};
    MbufFifo mbufs_{max_in_flight};
    TxqStats stats_;
    TimeCounts in_flight_times_;
    Owner* owner_ = &control_side_;
    Owner control_side_; // when no PMD thread owns the queue

    VringLease lease_;
    // Packets drained by the event thread that the ledger does not know of yet.
    std::atomic<std::uint32_t> handed_back_{0};
    // How many of the ledger's youngest packets were in flight when the guest switched the vring off. vhost
    // will not return their buffers to the guest.
    std::atomic<std::uint32_t> undelivered_{0};
    std::atomic<CopyMode> asked_mode_{CopyMode::cpu};
    std::atomic<bool> can_use_dma_{true};
    bool attached_ = false; // event thread only: librte_vhost's async state of this vring exists
    Published<TxqStats> published_;
};

} // namespace datapath
