// SPDX-License-Identifier: BSD-3-Clause
// What is learned of a channel: how fast it follows, and what the checks that come of it cost.
#include "defer/copy_time.hpp"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "paced_channel.hpp"

namespace {

using namespace native_tests;
using defer::CopyTime;

constexpr std::uint32_t bytes = 32 * 1500;

// A send alone on the channel, taking `ticks`; returns how many checks it took.
unsigned send(CopyTime& copy_time, std::uint64_t ticks) {
    const std::uint16_t size_class = copy_time.submitted(bytes);
    std::uint64_t elapsed = copy_time.expected(size_class);
    unsigned early = 0;
    while (elapsed < ticks) {
        elapsed += copy_time.gap(++early, elapsed);
    }
    if (early > 0) {
        copy_time.first_check_was_early(size_class, elapsed);
    } else {
        copy_time.first_check_was_right(size_class);
    }
    copy_time.left(bytes);
    return early + 1;
}

std::uint64_t expected(CopyTime& copy_time) {
    const std::uint16_t size_class = copy_time.submitted(bytes);
    copy_time.left(bytes);
    return copy_time.expected(size_class);
}

class CopyTimeOf : public testing::TestWithParam<std::uint64_t> {
  protected:
    void learn(std::uint64_t ticks) {
        for (int i = 0; i < 100; ++i) {
            send(copy_time, ticks);
        }
    }
    CopyTime copy_time{100};
};

TEST_P(CopyTimeOf, IsLearnedWithinThirtySends) {
    const std::uint64_t ticks = GetParam();
    for (int i = 0; i < 30; ++i) {
        send(copy_time, ticks);
    }
    EXPECT_NEAR(static_cast<double>(expected(copy_time)), static_cast<double>(ticks), 0.1 * static_cast<double>(ticks));
}

TEST_P(CopyTimeOf, FollowsADeviceTenTimesSlowerWithinTwelveSends) {
    learn(GetParam());
    int sends = 0;
    for (; send(copy_time, 10 * GetParam()) > 2; ++sends) {
    }
    EXPECT_LE(sends, 12);
    EXPECT_GT(expected(copy_time), 9 * GetParam());
}

TEST_P(CopyTimeOf, FollowsADeviceTenTimesFasterWithinTwelveSends) {
    learn(10 * GetParam());
    int sends = 0;
    for (; static_cast<double>(expected(copy_time)) > 1.1 * static_cast<double>(GetParam()); ++sends) {
        send(copy_time, GetParam());
    }
    EXPECT_LE(sends, 12);
    // And then it stays there.
    for (int i = 0; i < 100; ++i) {
        send(copy_time, GetParam());
        EXPECT_GT(expected(copy_time), GetParam() / 2);
    }
}

TEST_P(CopyTimeOf, IsMovedLittleByOneOddSend) {
    learn(GetParam());
    const auto before = static_cast<double>(expected(copy_time));
    send(copy_time, 1000 * GetParam());
    EXPECT_NEAR(static_cast<double>(expected(copy_time)), before, 0.04 * before);
    learn(GetParam());
    const auto again = static_cast<double>(expected(copy_time));
    send(copy_time, 1);
    EXPECT_NEAR(static_cast<double>(expected(copy_time)), again, 0.04 * again);
}

INSTANTIATE_TEST_SUITE_P(Ticks, CopyTimeOf, testing::Values(2'000, 20'000, 200'000, 2'000'000));

TEST(CopyTime, TellsSizesApart) {
    CopyTime copy_time(100);
    const auto asked = [&](std::uint32_t size) {
        const std::uint16_t size_class = copy_time.submitted(size);
        copy_time.left(size);
        return copy_time.expected(size_class);
    };
    for (int i = 0; i < 100; ++i) {
        send(copy_time, 50'000);
    }
    EXPECT_GT(asked(bytes), 45'000U);
    // A size that was never sent begins with what is known of the nearest smaller one, else of the nearest larger.
    EXPECT_EQ(asked(64 * bytes), asked(bytes));
    EXPECT_EQ(asked(64), asked(bytes));
    const std::uint64_t before = asked(bytes);
    const std::uint16_t small = copy_time.submitted(64);
    copy_time.first_check_was_right(small);
    copy_time.left(64);
    EXPECT_LT(asked(64), before);
    EXPECT_EQ(asked(bytes), before);
}

TEST(CopyTime, CountsWhatIsStillToBeCopied) {
    CopyTime copy_time(100);
    const std::uint16_t alone = copy_time.submitted(bytes);
    const std::uint16_t behind = copy_time.submitted(bytes);
    EXPECT_GT(behind, alone);
    copy_time.left(bytes);
    copy_time.left(bytes);
    EXPECT_EQ(copy_time.submitted(bytes), alone);
    // Whatever is waiting, there is a class for it.
    for (int i = 0; i < 100; ++i) {
        (void)copy_time.expected(copy_time.submitted(0xffffffff));
    }
}

TEST(CopyTime, SpacesChecksByTheShortestGapAtLeast) {
    CopyTime copy_time(100);
    for (std::uint32_t attempts = 1; attempts < 100; ++attempts) {
        std::uint64_t last = 0;
        for (std::uint64_t elapsed = 0; elapsed < 1'000'000'000; elapsed = 2 * elapsed + 1) {
            const std::uint64_t gap = copy_time.gap(attempts, elapsed);
            EXPECT_GE(gap, std::max<std::uint64_t>(100, last));
            last = gap;
        }
    }
}

// ---- through the engine ----

class PacedChannelOf : public testing::TestWithParam<double> {
  protected:
    [[nodiscard]] double ticks() const { return GetParam(); }
    double between(double low, double high) { return std::uniform_real_distribution(low, high)(random_); }
    // Figures after what was learned in many sends before: each class of sizes learns for itself.
    ChannelFigures figures(const std::function<double(std::uint32_t)>& duration,
                           const std::function<std::uint32_t()>& size, std::size_t depth) {
        const auto pause = [this] { return between(0, ticks()); };
        PacedChannel channel(true, static_cast<std::uint64_t>(ticks() / 200));
        channel.send(5000, duration, size, pause, depth);
        return channel.send(2000, duration, size, pause, depth);
    }
    static std::uint32_t always() { return bytes; }
    std::mt19937 random_{1};
};

TEST_P(PacedChannelOf, ConstantTimesNeedFewChecksAndAddLittle) {
    for (const std::size_t depth : {1U, 4U}) {
        const ChannelFigures of = figures([this](std::uint32_t) { return ticks(); }, always, depth);
        EXPECT_LT(of.checks_per_send, 3) << depth;
        EXPECT_LT(of.added, 0.1) << depth;
    }
}

TEST_P(PacedChannelOf, TimesWithinTenPercentNeedFewChecksAndAddLittle) {
    const auto varied = [this](std::uint32_t) { return between(0.9 * ticks(), 1.1 * ticks()); };
    for (const std::size_t depth : {1U, 4U}) {
        const ChannelFigures of = figures(varied, always, depth);
        EXPECT_LT(of.checks_per_send, 3) << depth;
        EXPECT_LT(of.added, 0.1) << depth;
    }
}

TEST_P(PacedChannelOf, TimesByBandwidthNeedFewChecksAndAddLittle) {
    const auto by_size = [this](std::uint32_t size) { return ticks() * (0.05 + size / double{bytes}); };
    const auto size = [this] { return static_cast<std::uint32_t>(between(64, bytes)); };
    const ChannelFigures alone = figures(by_size, size, 1);
    EXPECT_LT(alone.checks_per_send, 3);
    EXPECT_LT(alone.added, 0.1);
    // With others before it half copied, a send's time is known less well than that: the class is of all their bytes.
    const ChannelFigures among_four = figures(by_size, size, 4);
    EXPECT_LT(among_four.checks_per_send, 3.3);
    EXPECT_LT(among_four.added, 0.13);
}

INSTANTIATE_TEST_SUITE_P(Nanoseconds, PacedChannelOf, testing::Values(2e3, 2e4, 2e5, 2e6));

} // namespace
