// SPDX-License-Identifier: BSD-3-Clause
// The datapath's headers that need no DPDK, one thread: ledger, scale, histogram.
#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "datapath/histogram.hpp"
#include "datapath/ledger.hpp"
#include "datapath/log_linear_scale.hpp"

namespace {

using datapath::Histogram;
using datapath::Ledger;
using datapath::LogLinearScale;

// ---- ledger ----

// Beside a list of packets, over random operations: who is in flight, who is given up, who is back.
TEST(Ledger, KeepsAccountOfEveryPacketWhateverBecomesOfIt) {
    struct Batch {
        std::uint32_t packets;
        std::uint32_t back = 0;
        bool given_up = false;
        bool claimed = false;
        std::uint64_t time;
    };
    Ledger ledger(8);
    std::deque<Batch> batches; // until both returned and claimed
    std::mt19937 random(11);
    std::uint64_t submitted = 0, completed = 0, late = 0, given_up = 0, time = 0;
    for (int i = 0; i < 100'000; ++i) {
        const auto unclaimed = std::find_if(batches.begin(), batches.end(), [](auto& b) { return !b.claimed; });
        switch (random() % 5) {
        case 0:
            if (!ledger.full()) {
                const auto packets = static_cast<std::uint32_t>(1 + random() % 32);
                ledger.append(packets, ++time);
                batches.push_back({.packets = packets, .time = time});
                submitted += packets;
            }
            break;
        case 4:
            if (!batches.empty() && !batches.back().claimed) {
                const auto packets = static_cast<std::uint32_t>(1 + random() % 32);
                ledger.extend_youngest(packets);
                batches.back().packets += packets;
                submitted += packets;
            }
            break;
        case 1: {
            auto left = static_cast<std::uint32_t>(random() % (ledger.outstanding() + 1));
            std::vector<std::uint64_t> whole;
            const auto returned = ledger.take_back(left, [&](std::uint64_t at) { whole.push_back(at); });
            ASSERT_EQ(returned.completed, left);
            completed += returned.completed;
            given_up -= returned.late;
            late += returned.late;
            std::vector<std::uint64_t> expected;
            for (Batch& batch : batches) {
                const std::uint32_t part = std::min(left, batch.packets - batch.back);
                batch.back += part;
                left -= part;
                if (part > 0 && batch.back == batch.packets) {
                    expected.push_back(batch.time);
                }
            }
            ASSERT_EQ(whole, expected);
            break;
        }
        case 2:
            if (ledger.unclaimed() > 0) {
                ASSERT_EQ(ledger.oldest_done(), unclaimed->back == unclaimed->packets);
                if (ledger.oldest_done()) {
                    ledger.claim_oldest();
                    unclaimed->claimed = true;
                }
            }
            break;
        default:
            if (random() % 4 == 0 && ledger.unclaimed() > 0) {
                const std::uint32_t missing = ledger.give_up_oldest();
                ASSERT_EQ(missing, unclaimed->packets - unclaimed->back);
                given_up += missing;
                unclaimed->claimed = unclaimed->given_up = true;
            }
        }
        while (!batches.empty() && batches.front().claimed && batches.front().back == batches.front().packets) {
            batches.pop_front();
        }
        ASSERT_EQ(submitted, completed + ledger.in_flight() + given_up);
        ASSERT_EQ(ledger.quarantined(), given_up); // what completes late is no longer given up
        ASSERT_EQ(ledger.full(), batches.size() == 8);
    }
    EXPECT_GT(late, 0U);
}

// ---- scale and histogram ----

template<unsigned Bits> void check_scale() {
    using Scale = LogLinearScale<Bits>;
    std::size_t last_index = 0;
    for (std::uint64_t value = 0; value < (std::uint64_t{1} << 50); value += 1 + value / 1000) {
        const std::size_t index = Scale::index_of(value);
        ASSERT_GE(index, last_index);
        last_index = index;
        ASSERT_GE(Scale::last_value_of(index), value);
        ASSERT_EQ(Scale::index_of(Scale::last_value_of(index)), index);
        ASSERT_EQ(Scale::index_of(Scale::last_value_of(index) + 1), index + 1);
        ASSERT_LE(Scale::last_value_of(index) - value, value >> (Bits - 1));
    }
}

TEST(LogLinearScale, HasOneCounterForEachValueAndTheSameErrorEverywhere) {
    check_scale<6>();
    check_scale<11>();
}

TEST(Histogram, TellsPercentilesToThreeDigits) {
    std::mt19937_64 random(5);
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 20'000; ++i) {
        values.push_back(1 + (random() >> (24 + random() % 40)));
        ASSERT_TRUE(histogram.record(values.back()));
    }
    std::sort(values.begin(), values.end());
    EXPECT_EQ(histogram.min_ns(), values.front());
    EXPECT_EQ(histogram.max_ns(), values.back());
    EXPECT_EQ(histogram.percentile_ns(100), values.back());
    for (const double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
        const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(percent * 200)));
        const auto exact = static_cast<double>(values[rank - 1]);
        EXPECT_GE(static_cast<double>(histogram.percentile_ns(percent)), exact) << percent;
        EXPECT_LE(static_cast<double>(histogram.percentile_ns(percent)), exact * 1.001) << percent;
    }
}

TEST(Histogram, RefusesWhatIsOutOfRangeAndMerges) {
    Histogram one;
    Histogram other;
    EXPECT_FALSE(one.record(0));
    EXPECT_FALSE(one.record(Histogram::highest_ns + 1));
    EXPECT_TRUE(one.record(Histogram::highest_ns));
    EXPECT_EQ(one.count(), 1U);
    EXPECT_TRUE(other.record(Histogram::lowest_ns));
    one.merge(other);
    EXPECT_EQ(one.count(), 2U);
    EXPECT_EQ(one.min_ns(), 1U);
    EXPECT_EQ(one.percentile_ns(50), 1U);
    EXPECT_EQ(one.percentile_ns(51), Histogram::highest_ns);
    one.clear();
    EXPECT_EQ(one.count(), 0U);
    EXPECT_EQ(one.percentile_ns(99), 0U);
    EXPECT_EQ(one.max_ns(), 0U);
}

} // namespace
