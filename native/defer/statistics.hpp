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

} // namespace defer
