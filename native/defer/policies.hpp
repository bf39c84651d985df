// SPDX-License-Identifier: BSD-3-Clause
// The rules by which a thread comes back to its sends in progress.
#pragma once

#include <cstdint>
#include <limits>

namespace defer {

// Which items an item in progress holds up.
enum class Policy : std::uint8_t {
    fifo,      // all that came after it: one ring, as in the Open vSwitch design
    per_queue, // those of its own (port, qid): a ring for each, so `ring_size` counts for each, and before a
               // quiesce a queue in progress is asked once instead of being waited for
};

// What becomes of a send that finds the ring full.
enum class OnFull : std::uint8_t {
    wait, // work is done until there is room
    drop, // it is refused, and the thread goes on
};

struct DeferralConfig {
    Policy policy = Policy::fifo;
    std::uint32_t ring_size = 128;
    std::uint32_t attempt_limit = 1000;
    std::uint8_t iteration_delay = 0; // iterations an item rests before the main loop looks at it
    OnFull on_full = OnFull::wait;
    bool paced = false; // no check before the copy can be done, by what was learned of its channel
    // In microseconds; 0: none.
    std::uint64_t deadline_us = 0;  // an item in progress for longer is forced
    std::uint64_t max_stall_us = 0; // the thread's longest wait for work in progress
    double ticks_per_us = 1000.0;   // of the owner's clock
    std::uint32_t first_index = 0;

    // Of the owner's clock; "none" is never.
    [[nodiscard]] std::uint64_t max_stall_ticks() const { return limit_ticks(max_stall_us); }
    [[nodiscard]] std::uint64_t deadline_ticks() const { return limit_ticks(deadline_us); }

  private:
    [[nodiscard]] std::uint64_t limit_ticks(std::uint64_t us) const {
        return us == 0 ? std::numeric_limits<std::uint64_t>::max()
                       : static_cast<std::uint64_t>(static_cast<double>(us) * ticks_per_us);
    }
};

} // namespace defer
