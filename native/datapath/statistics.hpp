// SPDX-License-Identifier: BSD-3-Clause
// What is counted, per PMD thread, rxq and txq. Each field has the same name in C++, Python and JSON.
// Counters only grow, except in_flight, given_up, quarantined and dma_min_bytes, which are levels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "datapath/ledger.hpp"
#include "datapath/recent_cycles.hpp"
#include "defer/statistics.hpp"

namespace datapath {

enum class Engine : std::uint8_t { dma, cpu };
// Which of them a port uses: one of them always, or for each batch the cheaper one.
enum class CopyMode : std::uint8_t { dma, cpu, automatic };
inline constexpr std::array<std::string_view, 3> copy_mode_names{"dma", "cpu", "auto"};

// Why a packet that was to be sent was not.
enum class Drop : std::uint8_t {
    no_guest,       // nobody is connected to the vhost port, or its queue is off
    zero_length,    // an empty packet: it would wedge the vring for ever
    too_long,       // longer than the port's mtu allows, or than a guest's buffers, where it takes one for each
    ring_full,      // the far side's ring has no room
    dma_ring_full,  // the DMA channel has no room for one packet's copies
    dma_stopped,    // the DMA device was taken out of use
    work_ring_full, // the thread has too many sends in progress, and its work ring drops what comes then
    handoff_full,   // on its way from another thread to the one that owns the txq, and that did not come for it
    count_
};
inline constexpr std::size_t drop_reasons = static_cast<std::size_t>(Drop::count_);
inline constexpr std::array<std::string_view, drop_reasons> drop_names{"no_guest",       "zero_length",   "too_long",
                                                                       "ring_full",      "dma_ring_full", "dma_stopped",
                                                                       "work_ring_full", "handoff_full"};

struct RxqStats {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t batches = 0;           // polls that brought packets
    std::uint64_t no_mbufs = 0;          // polls that found no free mbuf
    std::uint64_t rate_missed = 0;       // packets that were due by the rate asked for, and were never made or polled
    std::uint64_t processing_cycles = 0; // in polls that brought packets, and in sends of these
    std::uint64_t deferred_cycles = 0;   // in checks of their sends in progress
    RecentCycles recent;                 // both of these
};

// What a PMD thread spent for an rxq since it said so last.
struct RxqLoad {
    std::uint64_t processing_cycles = 0;
    std::uint64_t deferred_cycles = 0;
    std::uint64_t step = 0; // the present one of RecentCycles
};

inline RxqStats& operator+=(RxqStats& stats, const RxqLoad& load) {
    stats.processing_cycles += load.processing_cycles;
    stats.deferred_cycles += load.deferred_cycles;
    stats.recent.add(load.processing_cycles + load.deferred_cycles, load.step);
    return stats;
}

struct TxqStats {
    std::uint64_t submitted = 0;        // packets that the far side's ring took
    std::uint64_t completed = 0;        // of these, copied, in time or late
    std::uint64_t in_flight = 0;        // of these, still with the engine and waited for
    std::uint64_t given_up = 0;         // of these, no longer waited for: lost, unless they complete late
    std::uint64_t quarantined = 0;      // of those given up, still with the engine
    std::uint64_t late_completions = 0; // of those completed, given up before
    std::uint64_t wedges = 0;    // times that the engine handed nothing back for so long that it was taken out of use
    std::uint64_t batches = 0;   // sends that the ring took something of
    std::uint64_t retries = 0;   // times that the rest of a batch was tried again
    std::uint64_t bytes_dma = 0; // bytes of completed and late packets, by the engine that moved them
    std::uint64_t bytes_cpu = 0;
    std::uint64_t engine_changes = 0;  // by copy = "auto", from one engine to the other
    std::uint64_t dma_min_bytes = 0;   // mean size from which on "auto" finds DMA cheaper; 0: none yet, or not "auto"
    std::uint64_t submit_cycles = 0;   // in sends that the ring took something of
    std::uint64_t complete_cycles = 0; // in checks that brought completions back
    std::uint64_t wasted_cycles = 0;   // in sends and checks that moved nothing
    std::array<std::uint64_t, drop_reasons> drops{};

    void drop(Drop reason, std::uint64_t packets) { drops[static_cast<std::size_t>(reason)] += packets; }
    // What was given up and completes late was delivered, and is no longer given up.
    void complete(const Ledger::Returned& returned) {
        completed += returned.completed;
        given_up -= returned.late;
        late_completions += returned.late;
    }
};

struct PmdStats {
    std::uint64_t iterations = 0;
    std::uint64_t busy_iterations = 0; // that received or sent packets, or finished deferred work
    std::uint64_t idle_cycles = 0;
    std::uint64_t busy_cycles = 0;
    std::uint64_t wasted_cycles = 0;      // of the busy ones, in sends and checks that moved nothing
    std::uint64_t wasted_send_cycles = 0; // of these, in sends
    std::uint64_t sleep_iterations = 0;   // that it slept after
    std::uint64_t sleep_cycles = 0;       // asleep, neither idle nor busy
    std::uint64_t rx_packets = 0;
    std::uint64_t tx_packets = 0; // handed to a port's send and not dropped there, finished or still in progress
    std::uint64_t tx_batches = 0;
    std::uint64_t handed_over = 0;   // packets given to the threads that own their txqs
    std::uint64_t flooded = 0;       // copies by l2 forwarding of packets that go to every other port
    std::uint64_t filtered = 0;      // by l2 forwarding dropped: their way leads back, or they have no whole header
    std::uint64_t unwired_drops = 0; // received on a port that no wire leads away from
    // The longest between two turns of the loop, whatever the thread was kept by.
    std::uint64_t longest_stall_cycles = 0;
    RecentCycles recent_busy;
    defer::DeferralStats deferral;
};

} // namespace datapath
