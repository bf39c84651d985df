// SPDX-License-Identifier: BSD-3-Clause
// How long things took, counted by one thread and read by others while it counts: times in TSC cycles, three
// significant digits at every magnitude.
//
// Each counter is whole in itself; a reader may see one time of many more or less. The counters take 248 KB of address
// space; pages that count nothing are not written to.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "datapath/log_linear_scale.hpp"

namespace datapath {

class TimeCounts {
    using Scale = LogLinearScale<11>;
    static constexpr std::uint64_t highest_cycles = std::uint64_t{1} << 40;
    static constexpr std::size_t size = Scale::index_of(highest_cycles) + 1;
    static constexpr std::size_t part_size = Scale::half_bucket; // counters that one bit of `parts_` stands for
    static_assert(size <= 64 * part_size);

  public:
    TimeCounts()
        : counts_(static_cast<std::uint64_t*>(std::calloc(size, sizeof(std::uint64_t)))) {
        if (counts_ == nullptr) {
            throw std::bad_alloc();
        }
    }

    // Owner thread only.
    void record(std::uint64_t cycles) {
        const std::size_t index = Scale::index_of(std::min(cycles, highest_cycles));
        const std::atomic_ref count(counts_[index]);
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        const std::uint64_t part = std::uint64_t{1} << (index / part_size);
        const std::uint64_t parts = parts_.load(std::memory_order_relaxed);
        if ((parts & part) == 0) [[unlikely]] {
            parts_.store(parts | part, std::memory_order_relaxed);
        }
    }

    // Any thread. The longest time that a counter stands for, and its count, for all that counted.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> read() const {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> times;
        for (std::uint64_t parts = parts_.load(std::memory_order_relaxed); parts != 0; parts &= parts - 1) {
            const std::size_t first = static_cast<std::size_t>(std::countr_zero(parts)) * part_size;
            for (std::size_t index = first; index < std::min(first + part_size, size); ++index) {
                const std::uint64_t count = std::atomic_ref(counts_[index]).load(std::memory_order_relaxed);
                if (count > 0) {
                    times.emplace_back(Scale::last_value_of(index), count);
                }
            }
        }
        return times;
    }

  private:
    struct Free {
        void operator()(std::uint64_t* counts) const { std::free(counts); }
    };
    std::unique_ptr<std::uint64_t[], Free> counts_;
    std::atomic<std::uint64_t> parts_{0}; // that hold a count
};

} // namespace datapath
