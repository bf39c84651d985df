// SPDX-License-Identifier: BSD-3-Clause
// A work item: one send still in progress, and all that is needed to come back to it.
#pragma once

#include <array>
#include <cstdint>

namespace defer {

// Asks `port` how far the oldest unfinished send of its txq `qid` is. Answers 0 when that send is done,
// -EINPROGRESS when it is not; with `force` never -EINPROGRESS: any other value but 0 says that the send was
// given up.
using WorkFunc = int (*)(void* port, std::uint16_t qid, bool force);

struct Lane;

// A txq whose sends can be in progress, as Deferral::add_target() made it.
struct WorkTarget {
    WorkFunc work_func = nullptr;
    void* port = nullptr;
    std::uint16_t qid = 0;
    std::uint16_t channel = 0; // of those whose copy times are learned
    Lane* lane = nullptr;      // where its items go
};

// Packets of a batch that one rxq brought. The number is the thread's own for the rxq: it outlives port and batch.
struct RxqShare {
    std::uint16_t rxq;
    std::uint16_t packets;
};

struct WorkItem {
    static constexpr std::uint32_t max_shares = 32; // a batch of 32 packets from as many rxqs

    WorkFunc work_func;
    void* port;
    std::uint16_t qid;
    std::uint16_t share_count;
    bool rested; // its turn came before it was worth a check
    std::uint32_t attempts;
    std::uint32_t deferred_at; // the owner's iteration count when the item was appended
    // Only where time counts (pacing, deadline), in ticks of the owner's clock.
    std::uint64_t deferred_time;
    std::uint64_t ready_time; // no check before it
    std::uint32_t bytes;
    std::uint16_t channel;
    std::uint16_t size_class; // of CopyTime
    std::array<RxqShare, max_shares> shares;
};

} // namespace defer
