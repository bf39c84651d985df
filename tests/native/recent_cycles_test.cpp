// SPDX-License-Identifier: BSD-3-Clause
// What was spent in the last minute, in steps.
#include "datapath/recent_cycles.hpp"

#include <gtest/gtest.h>

namespace {

using datapath::RecentCycles;

TEST(RecentCycles, GivesWholeStepsOldestFirst) {
    RecentCycles recent;
    recent.add(1, 100);
    recent.add(2, 100);
    recent.add(5, 102);
    EXPECT_EQ(recent.before(102), (RecentCycles::Steps{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0}));
    EXPECT_EQ(recent.before(103), (RecentCycles::Steps{0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 5}));
}

TEST(RecentCycles, KnowsTwelveStepsAndNoMore) {
    RecentCycles recent;
    RecentCycles::Steps expected{};
    for (std::uint64_t step = 50; step < 80; ++step) {
        recent.add(step, step);
    }
    for (std::size_t i = 0; i < RecentCycles::steps; ++i) {
        expected[i] = 67 + i;
    }
    EXPECT_EQ(recent.before(79), expected);
    EXPECT_EQ(recent.before(200), RecentCycles::Steps{});
    recent.add(1, 500);
    EXPECT_EQ(recent.before(500), RecentCycles::Steps{});
}

TEST(RecentCycles, DoesNotWriteIntoThePast) {
    RecentCycles recent;
    recent.add(4, 10);
    recent.add(9, 0); // somebody who has no clock has nothing to say
    EXPECT_EQ(recent.before(11)[11], 4U);
}

} // namespace
