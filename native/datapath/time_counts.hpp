// SPDX-License-Identifier: BSD-3-Clause
// How long things took, counted by one thread and read by others while it counts: times in TSC cycles to 3 %, in 9 KB.
//
// Each counter is whole in itself; a reader may see one time of many more or less.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "datapath/log_linear_scale.hpp"

namespace datapath {

class TimeCounts {
    using Scale = LogLinearScale<6>;
    static constexpr std::uint64_t highest_cycles = std::uint64_t{1} << 40;

  public:
    // Owner thread only.
    void record(std::uint64_t cycles) {
        auto& count = counts_[Scale::index_of(std::min(cycles, highest_cycles))];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    // Any thread. The longest time that a counter stands for, and its count, for all that counted.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> read() const {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> times;
        for (std::size_t index = 0; index < counts_.size(); ++index) {
            if (const std::uint64_t count = counts_[index].load(std::memory_order_relaxed); count > 0) {
                times.emplace_back(Scale::last_value_of(index), count);
            }
        }
        return times;
    }

  private:
    std::array<std::atomic<std::uint64_t>, Scale::index_of(highest_cycles) + 1> counts_{};
};

} // namespace datapath
