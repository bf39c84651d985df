// SPDX-License-Identifier: BSD-3-Clause
// The engine with policy per_queue: a ring for each queue, and the list of those with work.
#include <algorithm>
#include <deque>
#include <random>

#include <gtest/gtest.h>

#include "engine_world.hpp"

namespace {

using namespace native_tests;
using defer::Deferral;
using defer::Policy;

TEST(PerQueue, ServesQueuesInTurn) {
    World world;
    Deferral engine(with_policy(Policy::per_queue), world.clock);
    std::deque<Send> sends;
    for (int queue = 0; queue < 3; ++queue) {
        const auto target = add_queue(engine, static_cast<std::uint16_t>(queue));
        for (int i = 0; i < 2; ++i) {
            sends.push_back({.world = world, .name = 10 * queue + i});
            defer_send(engine, target, sends.back());
        }
    }
    while (engine.do_work() == 0) {
    }
    EXPECT_EQ(world.sends_asked(), (std::vector{0, 10, 20, 1, 11, 21}));
}

TEST(PerQueue, GivesEachQueueARingOfFullSize) {
    World world;
    Deferral engine({.policy = Policy::per_queue, .ring_size = 4, .on_full = defer::OnFull::drop}, world.clock);
    const auto first = add_queue(engine, 0);
    const auto second = add_queue(engine, 1);
    Send stuck{.world = world, .in_progress = never};
    for (const auto& queue : {first, second}) {
        for (int i = 0; i < 3; ++i) {
            EXPECT_TRUE(defer_send(engine, queue, stuck));
        }
        EXPECT_FALSE(defer_send(engine, queue, stuck));
    }
    EXPECT_EQ(engine.pending(), 6U);
    EXPECT_EQ(engine.stats().work_ring_full, 2U);
}

// Many lanes join (also while others have work) and leave the list in random order: whoever has work is asked once an
// iteration, its items in order, and nobody else is.
TEST(PerQueue, AsksEveryQueueWithWorkOnceAnIterationThoughQueuesComeAndGo) {
    World world;
    Deferral engine({.policy = Policy::per_queue, .ring_size = 8, .attempt_limit = 1'000'000}, world.clock);
    std::mt19937 random(7);
    std::vector<defer::WorkTarget> queues;
    std::vector<std::deque<Send*>> waiting;
    std::deque<Send> sends;
    for (int iteration = 0; iteration < 3000; ++iteration) {
        if (queues.size() < 300 && random() % 4 == 0) {
            queues.push_back(add_queue(engine, static_cast<std::uint16_t>(queues.size())));
            waiting.emplace_back();
        }
        for (unsigned more = queues.empty() ? 0 : random() % 4; more > 0; --more) {
            const std::size_t queue = random() % queues.size();
            if (engine.has_room(queues[queue])) {
                sends.push_back({.world = world, .name = static_cast<int>(sends.size()), .in_progress = random() % 30});
                defer_send(engine, queues[queue], sends.back());
                waiting[queue].push_back(&sends.back());
            }
        }
        std::vector<int> expected;
        std::uint32_t leaving = 0;
        for (auto& queue : waiting) {
            for (bool next = true; next && !queue.empty();) {
                expected.push_back(queue.front()->name);
                next = queue.front()->in_progress == 0;
                if (next) {
                    queue.pop_front();
                    ++leaving;
                }
            }
        }
        world.calls.clear();
        ASSERT_EQ(engine.do_iteration(), leaving);
        std::vector<int> asked = world.sends_asked();
        std::sort(asked.begin(), asked.end());
        std::sort(expected.begin(), expected.end());
        ASSERT_EQ(asked, expected);
    }
    const std::uint32_t pending = engine.pending();
    EXPECT_EQ(engine.do_all_work().left, pending);
    EXPECT_EQ(engine.stats().work_done, sends.size());
}

TEST(PerQueue, AsksEachQueueBeforeAQuiesceAndWaitsForNone) {
    World world;
    Deferral engine({.policy = Policy::per_queue, .iteration_delay = 9}, world.clock);
    Send stuck{.world = world, .name = 1, .in_progress = never};
    Send done{.world = world, .name = 2};
    defer_send(engine, add_queue(engine, 0), stuck);
    defer_send(engine, add_queue(engine, 1), done);
    EXPECT_EQ(engine.quiesce().left, 1U);
    EXPECT_EQ(world.sends_asked(), (std::vector{1, 2}));
    EXPECT_EQ(engine.pending(), 1U);
}

TEST(PerQueue, LetsAWorkFunctionDeferToAQueueThatJoinsMeanwhile) {
    struct Parent {
        Deferral& engine;
        int more;
        static int check(void* port, std::uint16_t qid, bool /*force*/) {
            Parent& parent = *static_cast<Parent*>(port);
            if (parent.more-- > 0) {
                auto queue = parent.engine.add_target(&check, port, static_cast<std::uint16_t>(qid + 1));
                EXPECT_TRUE(parent.engine.defer(queue));
            }
            return 0;
        }
    };
    World world;
    Deferral engine(with_policy(Policy::per_queue), world.clock);
    Parent parent{.engine = engine, .more = 40};
    EXPECT_TRUE(engine.defer(engine.add_target(&Parent::check, &parent, 0)));
    EXPECT_TRUE(engine.defer(engine.add_target(&Parent::check, &parent, 1000)));
    std::uint32_t left = 0;
    while (engine.pending() > 0) {
        left += engine.do_iteration();
    }
    EXPECT_EQ(left, 42U);
}

} // namespace
