// SPDX-License-Identifier: BSD-3-Clause
// What each option improves on: every promise is shown to hold with it, and not to hold with plain fifo.
#include <gtest/gtest.h>

#include "engine_world.hpp"
#include "paced_channel.hpp"

namespace {

using namespace native_tests;
using defer::Deferral;
using defer::DeferralConfig;
using defer::OnFull;
using defer::Policy;

// Is a send of another queue found done in the first iteration, though one in progress came before it?
bool passes_a_stuck_queue(Policy policy) {
    World world;
    Deferral engine(with_policy(policy), world.clock);
    Send stuck{.world = world, .in_progress = never};
    Send done{.world = world};
    defer_send(engine, add_queue(engine, 0), stuck);
    defer_send(engine, add_queue(engine, 1), done);
    return engine.do_iteration() == 1;
}

TEST(Cure, PerQueueOneStuckQueueHoldsUpNoOther) {
    EXPECT_TRUE(passes_a_stuck_queue(Policy::per_queue));
    EXPECT_FALSE(passes_a_stuck_queue(Policy::fifo));
}

// Can a queue defer without waiting while another one's sends fill their ring?
bool has_room_beside_a_full_queue(Policy policy) {
    World world;
    Deferral engine({.policy = policy, .ring_size = 8}, world.clock);
    const auto stuck_queue = add_queue(engine, 0);
    const auto other = add_queue(engine, 1);
    Send stuck{.world = world, .in_progress = never};
    for (int i = 0; i < 7; ++i) {
        defer_send(engine, stuck_queue, stuck);
    }
    return engine.has_room(other);
}

TEST(Cure, PerQueueAFullQueueTakesNoOthersRoom) {
    EXPECT_TRUE(has_room_beside_a_full_queue(Policy::per_queue));
    EXPECT_FALSE(has_room_beside_a_full_queue(Policy::fifo));
}

// Checks before a quiesce of a queue that is stuck, with 1000 attempts to go.
std::size_t checks_before_a_quiesce(Policy policy) {
    World world;
    Deferral engine(with_policy(policy), world.clock);
    Send stuck{.world = world, .in_progress = never};
    defer_send(engine, add_queue(engine), stuck);
    engine.quiesce();
    return world.calls.size();
}

TEST(Cure, PerQueueAQuiesceWaitsForNobody) {
    EXPECT_EQ(checks_before_a_quiesce(Policy::per_queue), 1U);
    EXPECT_EQ(checks_before_a_quiesce(Policy::fifo), 1002U);
}

double checks_per_send(bool paced) {
    PacedChannel channel(paced);
    const auto takes = [](std::uint32_t) { return 20'000.0; };
    const auto bytes = [] { return 48'000U; };
    const auto pause = [] { return 0.0; };
    channel.send(100, takes, bytes, pause);
    return channel.send(1000, takes, bytes, pause).checks_per_send;
}

TEST(Cure, PacedFewChecksAreWasted) {
    EXPECT_LT(checks_per_send(true), 3);
    EXPECT_GT(checks_per_send(false), 100);
}

// Microseconds until an item that never ends is forced, where a turn of the main loop takes `turn`.
std::uint64_t forced_after(std::uint64_t deadline_us, std::uint64_t turn) {
    World world;
    Deferral engine({.attempt_limit = 1000, .deadline_us = deadline_us}, world.clock);
    Send stuck{.world = world, .in_progress = never};
    defer_send(engine, add_queue(engine), stuck);
    while (engine.do_iteration() == 0) {
        world.clock.now += turn;
    }
    return world.clock.now / 1000;
}

TEST(Cure, DeadlineAnItemIsForcedByTheClockNotByLoops) {
    EXPECT_EQ(forced_after(100, 100), 100U);
    EXPECT_EQ(forced_after(100, 10'000), 100U);
    // By attempts alone a busy thread waits a hundred times longer than an idle one.
    EXPECT_EQ(forced_after(0, 100), 100U);
    EXPECT_EQ(forced_after(0, 10'000), 10'000U);
}

// Checks made in a defer() that finds the ring full.
std::size_t checks_in_defer(OnFull on_full) {
    World world;
    Deferral engine({.ring_size = 2, .on_full = on_full}, world.clock);
    const auto queue = add_queue(engine);
    Send stuck{.world = world, .in_progress = never};
    defer_send(engine, queue, stuck);
    defer_send(engine, queue, stuck);
    return world.calls.size();
}

TEST(Cure, DropASendThatFindsTheRingFullIsRefusedAtOnce) {
    EXPECT_EQ(checks_in_defer(OnFull::drop), 0U);
    EXPECT_EQ(checks_in_defer(OnFull::wait), 1002U);
}

// The longest wait of a thread whose sends never end, in microseconds.
std::uint64_t longest_stall(std::uint64_t max_stall_us) {
    World world;
    world.let_time_pass(1000);
    Deferral engine({.ring_size = 2, .max_stall_us = max_stall_us}, world.clock);
    const auto queue = add_queue(engine);
    Send stuck{.world = world, .in_progress = never};
    defer_send(engine, queue, stuck);
    defer_send(engine, queue, stuck);
    return engine.longest_stall_ticks() / 1000;
}

TEST(Cure, MaxStallBoundsEveryWait) {
    EXPECT_LE(longest_stall(50), 51U);
    EXPECT_GT(longest_stall(0), 900U);
}

} // namespace
