// SPDX-License-Identifier: BSD-3-Clause
// The time as a thread knows it: the ticks that somebody in it read last.
//
// Reading a clock costs about as much as a check, so whoever has read it leaves it here for the others.
#pragma once

#include <cstdint>

namespace defer {

struct Clock {
    std::uint64_t now = 0;
    // Only where the thread waits. A clock without it stands still there, and no bound in time holds.
    std::uint64_t (*read)(void* context) = nullptr;
    void* context = nullptr;
    // Ticks that the thread has waited since it was last in its loop. Who has a loop sets it back in each turn.
    std::uint64_t waited = 0;
    // What checks have brought back, in whatever unit: time in which some came was not spent waiting.
    std::uint64_t completions = 0;

    std::uint64_t refresh() {
        if (read != nullptr) {
            now = read(context);
        }
        return now;
    }
};

} // namespace defer
