// SPDX-License-Identifier: BSD-3-Clause
// A work item: one send still in progress, and all that is needed to come back to it.
#pragma once

#include <cstdint>

namespace defer {

// Asks `port` how far the oldest unfinished send of its txq `qid` is. Answers 0 when that send is done,
// -EINPROGRESS when it is not; with `force` never -EINPROGRESS: any other value but 0 says that the send was
// given up.
using WorkFunc = int (*)(void* port, std::uint16_t qid, bool force);

struct Lane;

// What every check needs. The part that a defer copies as a whole.
struct WorkCall {
    WorkFunc work_func = nullptr;
    void* port = nullptr;
    std::uint16_t qid = 0;
    std::uint16_t notes = 0; // 0: nothing below matters for this item
    std::uint32_t attempts = 0;
};

// Bits of WorkCall::notes; what is below them counts shares.
inline constexpr std::uint16_t note_timed = 0x8000;
inline constexpr std::uint16_t note_rested = 0x4000; // its turn came before it was worth a check
inline constexpr std::uint16_t share_count_mask = 0x3fff;

// A txq whose sends can be in progress, as Deferral::add_target() made it.
struct WorkTarget {
    WorkCall call;
    Lane* lane = nullptr;      // where its items go
    std::uint16_t channel = 0; // of those whose copy times are learned
    bool plain = true;         // policy fifo, and nothing of it counts in time
};

// Packets of a batch that one rxq brought. The number is the thread's own for the rxq: it outlives port and batch.
struct RxqShare {
    std::uint16_t rxq;
    std::uint16_t packets;
};

struct alignas(64) WorkItem {
    static constexpr std::uint32_t max_shares = 32; // a batch of 32 packets from as many rxqs

    WorkCall call;
    // Only with note_timed. Times are ticks of the owner's clock.
    std::uint64_t deferred_time;
    std::uint64_t ready_time;  // no check before it
    std::uint32_t deferred_at; // the owner's iteration count when the item was appended
    std::uint32_t bytes;
    std::uint16_t channel;
    std::uint16_t size_class; // of CopyTime
};

} // namespace defer
