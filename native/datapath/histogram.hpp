// SPDX-License-Identifier: BSD-3-Clause
// A latency histogram with the meaning of HdrHistogram (Tene): whole nanoseconds, three significant digits at
// every magnitude.
//
// Values from 1 ns to 2^40 ns (18 minutes) in 256 KB that are there from the start: recording is one
// addition. Values up to 2047 ns have counters of their own, above that 1024 counters share each power of
// two. For one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "datapath/log_linear_scale.hpp"

namespace datapath {

class Histogram {
    // The smallest power of two that tells 1999 from 2000: half of it then tells three digits apart in every bucket.
    using Scale = LogLinearScale<11>;

  public:
    static constexpr std::uint64_t lowest_ns = 1;
    static constexpr std::uint64_t highest_ns = std::uint64_t{1} << 40;

    Histogram()
        : counters_(Scale::index_of(highest_ns) + 1) {}

    // False, and nothing is counted: the value is out of range.
    bool record(std::uint64_t value_ns) {
        if (value_ns < lowest_ns || value_ns > highest_ns) {
            return false;
        }
        ++counters_[Scale::index_of(value_ns)];
        ++count_;
        max_ns_ = std::max(max_ns_, value_ns);
        min_ns_ = std::min(min_ns_, value_ns);
        return true;
    }

    // The value that `percent` of all recorded values do not exceed; three digits of it are right, and the
    // rest leans upwards. 0 when nothing was recorded.
    [[nodiscard]] std::uint64_t percentile_ns(double percent) const {
        // The next smaller number, so that a product that should be whole is not rounded up beyond itself.
        const double share = std::nextafter(std::clamp(percent, 0.0, 100.0), 0.0) / 100.0;
        const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
        const std::uint64_t rank = std::max<std::uint64_t>(wanted, 1);
        std::uint64_t seen = 0;
        for (std::size_t index = 0; index < counters_.size(); ++index) {
            seen += counters_[index];
            if (seen >= rank) {
                return std::min(Scale::last_value_of(index), max_ns_);
            }
        }
        return max_ns_;
    }

    // Each value that was recorded, as percentile_ns() would give it, and how often.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> counts() const {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> counts;
        for (std::size_t index = 0; index < counters_.size(); ++index) {
            if (counters_[index] > 0) {
                counts.emplace_back(std::min(Scale::last_value_of(index), max_ns_), counters_[index]);
            }
        }
        return counts;
    }

    void merge(const Histogram& other) {
        for (std::size_t index = 0; index < counters_.size(); ++index) {
            counters_[index] += other.counters_[index];
        }
        count_ += other.count_;
        max_ns_ = std::max(max_ns_, other.max_ns_);
        min_ns_ = std::min(min_ns_, other.min_ns_);
    }

    void clear() {
        std::fill(counters_.begin(), counters_.end(), 0);
        count_ = 0;
        max_ns_ = 0;
        min_ns_ = highest_ns;
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    // Exact, as recorded; 0 when nothing was.
    [[nodiscard]] std::uint64_t max_ns() const { return max_ns_; }
    [[nodiscard]] std::uint64_t min_ns() const { return count_ == 0 ? 0 : min_ns_; }

  private:
    std::vector<std::uint64_t> counters_;
    std::uint64_t count_ = 0;
    std::uint64_t max_ns_ = 0;
    std::uint64_t min_ns_ = highest_ns;
};

} // namespace datapath
