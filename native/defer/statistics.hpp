// SPDX-License-Identifier: BSD-3-Clause
// What the deferral engine counts. Counters only grow; readers take differences.
#pragma once

#include <cstdint>

namespace defer {

struct DeferralStats {
    std::uint64_t work_deferred = 0;    // items appended to the ring
    std::uint64_t work_in_progress = 0; // checks that answered "in progress"
    std::uint64_t work_ring_full = 0;   // sends that found the ring full, once each
    std::uint64_t work_done = 0;        // items that left the ring finished
    std::uint64_t work_dropped = 0;     // items that left the ring given up
};

inline DeferralStats& operator+=(DeferralStats& stats, const DeferralStats& more) {
    stats.work_deferred += more.work_deferred;
    stats.work_in_progress += more.work_in_progress;
    stats.work_ring_full += more.work_ring_full;
    stats.work_done += more.work_done;
    stats.work_dropped += more.work_dropped;
    return stats;
}

} // namespace defer
