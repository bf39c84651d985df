// SPDX-License-Identifier: BSD-3-Clause
// The engine with policy fifo: the semantics of the Open vSwitch design.
#include <gtest/gtest.h>

#include "engine_world.hpp"

namespace {

using namespace native_tests;
using defer::Deferral;
using defer::DeferralConfig;

struct Fifo : testing::Test {
    World world;
    Send done{.world = world, .name = 1};
    Send stuck{.world = world, .name = 2, .in_progress = never};
};

TEST_F(Fifo, HasNoWorkWhenEmpty) {
    Deferral engine({}, world.clock);
    EXPECT_EQ(engine.do_work(), -ENOENT);
    EXPECT_EQ(engine.do_all_work().left, 0U);
    EXPECT_EQ(engine.do_iteration(), 0U);
    EXPECT_TRUE(world.calls.empty());
}

TEST_F(Fifo, AsksAsOftenAsTheLimitSaysAndThenForces) {
    for (const auto& [forced, finished, dropped] : {std::tuple{0, 1U, 0U}, {-ECANCELED, 0U, 1U}, {5, 0U, 1U}}) {
        Deferral engine({.attempt_limit = 3, .first_index = 0U - 1}, world.clock);
        const auto queue = add_queue(engine, 7);
        Send send{.world = world, .in_progress = never, .forced = forced};
        defer_send(engine, queue, send);
        world.calls.clear();
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(engine.do_work(), -EINPROGRESS);
        }
        EXPECT_EQ(engine.do_work(), 0);
        EXPECT_EQ(engine.do_work(), -ENOENT);
        ASSERT_EQ(world.calls.size(), 5U);
        for (std::size_t i = 0; i < 5; ++i) {
            EXPECT_EQ(world.calls[i], (Call{0, 7, i == 4, 0}));
        }
        EXPECT_EQ(engine.stats().work_in_progress, 4U);
        EXPECT_EQ(engine.stats().work_done, finished);
        EXPECT_EQ(engine.stats().work_dropped, dropped);
    }
}

TEST_F(Fifo, TakesEveryOtherAnswerForDone) {
    Deferral engine({}, world.clock);
    const auto queue = add_queue(engine);
    for (const int answer : {0, -ETIMEDOUT, -ENOENT, 17}) {
        Send send{.world = world, .answer = answer};
        defer_send(engine, queue, send);
        EXPECT_EQ(engine.do_work(), 0);
    }
    EXPECT_EQ(engine.stats().work_done, 4U);
    EXPECT_EQ(engine.stats().work_dropped, 0U);
}

TEST_F(Fifo, WorksOnAFullRingUntilThereIsRoomAndCountsItOnce) {
    Deferral engine({.ring_size = 4, .first_index = 0U - 2}, world.clock);
    const auto queue = add_queue(engine);
    Send slow{.world = world, .name = 3, .in_progress = 5};
    for (Send* send : {&slow, &done, &done}) {
        EXPECT_TRUE(engine.has_room(queue));
        EXPECT_TRUE(defer_send(engine, queue, *send));
    }
    EXPECT_FALSE(engine.has_room(queue));
    EXPECT_EQ(engine.stats().work_ring_full, 0U);
    EXPECT_TRUE(defer_send(engine, queue, done));
    EXPECT_EQ(engine.stats().work_ring_full, 1U);
    EXPECT_EQ(world.sends_asked(), std::vector<int>(6, 3));
    EXPECT_EQ(engine.pending(), 3U);
    EXPECT_EQ(engine.do_all_work().left, 3U);
}

TEST_F(Fifo, HoldsAllUpBehindOneInProgress) {
    Deferral engine({.attempt_limit = 100}, world.clock);
    defer_send(engine, add_queue(engine, 0), stuck);
    const auto other = add_queue(engine, 1);
    defer_send(engine, other, done);
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(engine.do_iteration(), 0U);
    }
    EXPECT_EQ(world.sends_asked(), std::vector<int>(10, 2));
}

TEST_F(Fifo, LetsYoungItemsRestInTheLoopOnlyAlsoWhenIterationsAreMany) {
    Deferral engine({.iteration_delay = 255}, world.clock);
    const auto queue = add_queue(engine);
    for (int i = 0; i < 1000; ++i) {
        engine.do_iteration();
    }
    defer_send(engine, queue, done);
    for (int i = 0; i < 255; ++i) {
        ASSERT_EQ(engine.do_iteration(), 0U);
    }
    EXPECT_EQ(engine.do_iteration(), 1U);
    defer_send(engine, queue, done);
    EXPECT_EQ(engine.do_work(), 0);
}

TEST_F(Fifo, LetsAWorkFunctionDeferMore) {
    struct Parent {
        Deferral& engine;
        defer::WorkTarget queue;
        int more;
        static int check(void* port, std::uint16_t /*qid*/, bool /*force*/) {
            Parent& parent = *static_cast<Parent*>(port);
            if (parent.more-- > 0) {
                EXPECT_TRUE(parent.engine.defer(parent.queue));
            }
            return 0;
        }
    };
    Deferral engine({.ring_size = 4, .first_index = 0U - 1}, world.clock);
    Parent parent{.engine = engine, .queue = engine.add_target(&Parent::check, nullptr, 0), .more = 50};
    parent.queue.call.port = &parent;
    EXPECT_TRUE(engine.defer(parent.queue));
    EXPECT_EQ(engine.do_all_work().left, 51U);
    EXPECT_EQ(engine.stats().work_deferred, 51U);
}

TEST_F(Fifo, RefusesARingSizeThatIsNoPowerOfTwo) {
    EXPECT_THROW(Deferral({.ring_size = 3}, world.clock), std::invalid_argument);
    EXPECT_THROW(Deferral({.policy = defer::Policy::per_queue, .ring_size = 1}, world.clock), std::invalid_argument);
}

} // namespace
