// SPDX-License-Identifier: BSD-3-Clause
// What the engine does by the clock: deadlines, bounded waits, charges.
#include <array>
#include <deque>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "engine_world.hpp"

namespace {

using namespace native_tests;
using defer::Deferral;
using defer::DeferralConfig;
using defer::OnFull;
using defer::Policy;
using defer::RxqShare;

constexpr std::uint32_t unlimited = 0xffffffff;

class ByTheClock : public testing::TestWithParam<Policy> {
  protected:
    World world;
    Send stuck{.world = world, .name = 1, .in_progress = never};
};

INSTANTIATE_TEST_SUITE_P(Policies, ByTheClock, testing::Values(Policy::fifo, Policy::per_queue));

TEST_P(ByTheClock, AnItemIsForcedAtTheFirstCheckAfterItsDeadline) {
    Deferral engine({.policy = GetParam(), .attempt_limit = unlimited, .deadline_us = 5}, world.clock);
    world.clock.now = never - 2000; // ticks may run over
    defer_send(engine, add_queue(engine), stuck);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(engine.do_iteration(), 0U);
        world.clock.now += 100;
    }
    EXPECT_EQ(world.calls.size(), 50U);
    EXPECT_EQ(engine.do_iteration(), 1U);
    EXPECT_TRUE(world.calls.back().force);
    EXPECT_EQ(engine.stats().work_dropped, 1U);
}

TEST_P(ByTheClock, APacedItemIsForcedAtItsDeadlineThoughLongerIsExpected) {
    Deferral engine({.policy = GetParam(), .attempt_limit = unlimited, .paced = true, .deadline_us = 100}, world.clock);
    const auto queue = add_queue(engine);
    for (int i = 0; i < 100; ++i) { // copies take 90 us, it learns
        Send slow{.world = world, .done_at = world.clock.now + 90'000};
        defer_send(engine, queue, slow, 64);
        while (engine.do_iteration() == 0) {
            world.clock.now += 50;
        }
    }
    EXPECT_EQ(engine.stats().work_dropped, 0U);
    world.calls.clear();
    const std::uint64_t start = world.clock.now;
    defer_send(engine, queue, stuck, 64);
    while (engine.do_iteration() == 0) {
        world.clock.now += 50;
    }
    EXPECT_GE(world.clock.now - start, 100'000U);
    EXPECT_LE(world.clock.now - start, 100'050U);
    EXPECT_GE(world.calls.front().time - start, 80'000U);
    EXPECT_EQ(engine.stats().work_dropped, 1U);
}

TEST_P(ByTheClock, AFullRingRefusesWithoutACheckWhenItDrops) {
    Deferral engine({.policy = GetParam(), .ring_size = 4, .on_full = OnFull::drop}, world.clock);
    const auto queue = add_queue(engine);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(defer_send(engine, queue, stuck));
    }
    for (int i = 0; i < 5; ++i) {
        EXPECT_FALSE(defer_send(engine, queue, stuck));
    }
    EXPECT_TRUE(world.calls.empty());
    EXPECT_EQ(engine.stats().work_ring_full, 5U);
    EXPECT_EQ(engine.stats().work_deferred, 3U);
}

TEST_P(ByTheClock, NoWaitIsLongerThanMaxStall) {
    for (const bool paced : {false, true}) {
        world.let_time_pass(40);
        Deferral engine(
            {.policy = GetParam(), .ring_size = 4, .attempt_limit = unlimited, .paced = paced, .max_stall_us = 20},
            world.clock);
        const auto queue = add_queue(engine);
        stuck.takes = 300;
        for (int i = 0; i < 10; ++i) {
            world.clock.waited = 0;
            EXPECT_TRUE(defer_send(engine, queue, stuck, 64));
        }
        EXPECT_EQ(engine.stats().work_dropped, 7U);
        world.clock.waited = 0;
        const auto stay = engine.do_all_work();
        EXPECT_EQ(stay.left, 3U);
        EXPECT_GT(stay.waiting_ticks, 19'000U);
        EXPECT_GE(engine.longest_stall_ticks(), 20'000U);
        EXPECT_LE(engine.longest_stall_ticks(), 20'000U + 340 + 3 * 300);
    }
}

TEST_P(ByTheClock, AllWaitsOfATurnTogetherAreNoLonger) {
    world.let_time_pass(40);
    Deferral engine({.policy = GetParam(), .ring_size = 4, .attempt_limit = unlimited, .max_stall_us = 20},
                    world.clock);
    const auto queue = add_queue(engine);
    const auto other = add_queue(engine);
    for (int turn = 1; turn <= 3; ++turn) {
        const auto start = world.clock.refresh();
        world.clock.waited = 0;
        for (int i = 0; i < 5; ++i) {
            EXPECT_TRUE(defer_send(engine, queue, stuck));
            EXPECT_TRUE(defer_send(engine, other, stuck));
        }
        (void)engine.quiesce();
        EXPECT_LE(world.clock.refresh() - start, 20'000U + 20 * 40) << turn;
    }
}

TEST(FifoByTheClock, AQuiesceLeavesWhatItMayNotWaitFor) {
    World world;
    world.let_time_pass(40);
    Deferral engine({.attempt_limit = unlimited, .max_stall_us = 20}, world.clock);
    const auto queue = add_queue(engine);
    Send done{.world = world};
    Send stuck{.world = world, .in_progress = never};
    for (Send* send : {&done, &stuck, &done}) {
        defer_send(engine, queue, *send);
    }
    EXPECT_EQ(engine.quiesce().left, 1U);
    EXPECT_EQ(engine.pending(), 2U);
    EXPECT_EQ(engine.stats().work_dropped, 0U);
    EXPECT_LE(engine.longest_stall_ticks(), 20'040U);
}

TEST(FifoByTheClock, ACheckThatBringsSomethingIsNoWaiting) {
    World world;
    Deferral engine({.attempt_limit = unlimited}, world.clock);
    Send send{.world = world, .in_progress = 5, .takes = 300, .brings = 2};
    defer_send(engine, add_queue(engine), send);
    const auto stay = engine.quiesce();
    EXPECT_EQ(stay.left, 1U);
    EXPECT_EQ(stay.waiting_ticks, 3 * 300U);
}

TEST_P(ByTheClock, ADeadDeviceIsAskedAgainEveryTenMilliseconds) {
    Deferral engine({.policy = GetParam(), .attempt_limit = 50, .paced = true}, world.clock);
    defer_send(engine, add_queue(engine), stuck, 64);
    while (engine.do_iteration() == 0) {
        world.clock.now += 1000;
    }
    ASSERT_EQ(world.calls.size(), 52U); // 51 and the forced one
    for (std::size_t i = 1; i < world.calls.size(); ++i) {
        EXPECT_LE(world.calls[i].time - world.calls[i - 1].time, 10'001'000U);
    }
}

// ---- charges ----

struct ChargedEngine {
    explicit ChargedEngine(World& world, Policy policy)
        : engine({.policy = policy, .attempt_limit = 3}, world.clock)
        , queue(add_queue(engine)) {
        engine.set_rxqs(64);
    }
    void defer(Send& send, std::span<const RxqShare> shares) {
        EXPECT_TRUE(engine.defer(for_send(queue, send), 0, shares));
    }
    Deferral engine;
    defer::WorkTarget queue;
};

TEST_P(ByTheClock, ACheckIsChargedInEqualPartsPerPacket) {
    ChargedEngine charged(world, GetParam());
    Send send{.world = world, .takes = 3200};
    charged.defer(send, std::array{RxqShare{3, 8}, RxqShare{5, 16}, RxqShare{0, 8}});
    world.clock.now += 777; // nobody's
    EXPECT_EQ(charged.engine.do_work(), 0);
    EXPECT_EQ(charged.engine.charged_ticks(3), 800U);
    EXPECT_EQ(charged.engine.charged_ticks(5), 1600U);
    EXPECT_EQ(charged.engine.charged_ticks(0), 800U);
}

TEST_P(ByTheClock, NothingOfTheTimeIsLostAndForcedChecksCount) {
    ChargedEngine charged(world, GetParam());
    std::mt19937 random(3);
    std::array<RxqShare, defer::WorkItem::max_shares> shares{};
    for (int i = 0; i < 500; ++i) {
        const std::size_t count = 1 + random() % shares.size();
        for (std::size_t n = 0; n < count; ++n) {
            const auto rxq = static_cast<std::uint16_t>(random() % 64);
            shares[n] = {.rxq = rxq, .packets = static_cast<std::uint16_t>(1 + random() % 32)};
        }
        Send send{.world = world, .in_progress = random() % 6, .takes = random() % 1000};
        world.calls.clear();
        const auto sum = [&] {
            std::uint64_t all = 0;
            for (std::size_t rxq = 0; rxq < 64; ++rxq) {
                all += charged.engine.charged_ticks(rxq);
            }
            return all;
        };
        const std::uint64_t before = sum();
        charged.defer(send, std::span(shares).first(count));
        charged.engine.do_all_work();
        ASSERT_EQ(sum() - before, world.calls.size() * send.takes);
    }
}

// The engine keeps numbers of rxqs, no pointer to them: what they were taken from may be gone.
TEST_P(ByTheClock, RxqsAreHeldByValue) {
    ChargedEngine charged(world, GetParam());
    Send send{.world = world, .in_progress = 2, .takes = 10};
    {
        auto shares = std::make_unique<std::vector<RxqShare>>(std::vector{RxqShare{1, 1}, RxqShare{2, 1}});
        charged.defer(send, *shares);
        shares->assign(2, {63, 9});
    }
    EXPECT_EQ(charged.engine.do_all_work().left, 1U);
    EXPECT_EQ(charged.engine.charged_ticks(1), 15U);
    EXPECT_EQ(charged.engine.charged_ticks(2), 15U);
    EXPECT_EQ(charged.engine.charged_ticks(63), 0U);
}

TEST_P(ByTheClock, MoreRxqsMayComeLater) {
    ChargedEngine charged(world, GetParam());
    Send send{.world = world, .takes = 10};
    charged.defer(send, std::array{RxqShare{1, 1}});
    charged.engine.set_rxqs(1000);
    charged.defer(send, std::array{RxqShare{999, 1}});
    charged.engine.do_all_work();
    EXPECT_EQ(charged.engine.charged_ticks(1), 10U);
    EXPECT_EQ(charged.engine.charged_ticks(999), 10U);
}

} // namespace
