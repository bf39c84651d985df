// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine: puts sends in progress on the work ring and comes back to them.
//
// One owner: the PMD thread it belongs to, or the Python thread that made it. Nothing here locks or throws.
#pragma once

#include <cstdint>

#include "defer/statistics.hpp"
#include "defer/work_item.hpp"
#include "defer/work_ring.hpp"

namespace defer {

struct DeferralConfig {
    std::uint32_t ring_size = 128;
    std::uint32_t attempt_limit = 1000;
    std::uint8_t iteration_delay = 0; // iterations an item rests before the main loop looks at it
    std::uint32_t first_index = 0;
};

class Deferral {
  public:
    explicit Deferral(const DeferralConfig& config);

    // Appends an item. A full ring is counted once; then work is done until there is room.
    void defer(WorkFunc work_func, void* port, std::uint16_t qid);

    // One check of the oldest item, however young it is.
    // -ENOENT: the ring is empty. -EINPROGRESS: the item stays at the head. 0: the item left the ring, done
    // or dropped.
    [[nodiscard]] int do_work();

    // Checks until the ring is empty. Ends because the attempt limit forces every item out. Returns the items
    // that left.
    std::uint32_t do_all_work();

    // The main loop's turn: work until the first item in progress or younger than `iteration_delay`; then one
    // iteration has passed. Returns the items that left.
    std::uint32_t do_iteration();

    [[nodiscard]] std::uint32_t pending() const { return ring_.count(); }
    [[nodiscard]] const DeferralStats& stats() const { return stats_; }
    [[nodiscard]] const DeferralConfig& config() const { return config_; }

  private:
    DeferralConfig config_;
    WorkRing ring_;
    DeferralStats stats_;
    std::uint32_t iteration_ = 0;
};

} // namespace defer
