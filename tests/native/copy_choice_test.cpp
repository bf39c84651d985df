// SPDX-License-Identifier: BSD-3-Clause
// copy = "auto", against engines whose costs are known: never much dearer than the better of both.
#include "datapath/copy_choice.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <random>
#include <utility>

#include <gtest/gtest.h>

namespace {

using datapath::CopyChoice;
using datapath::Engine;

constexpr double ticks_per_us = 1000;

// A thread that sends batch after batch; ticks per packet of both engines by size, and how long a copy is in flight.
struct World {
    std::function<double(double)> cpu = [](double bytes) { return 60 + bytes / 4; };
    std::function<double(double)> dma = [](double) { return 300.0; };
    double finish = 100; // ticks per packet of the check that brings it back
    std::uint64_t flight = 20'000;
    double noise = 0.1;
    CopyChoice choice;
    std::uint64_t now = 1;
    struct Flight {
        std::uint64_t lands;
        std::uint32_t packets;
    };
    std::deque<Flight> flights;
    double spent = 0;
    double by_dma = 0, packets_sent = 0;
    std::mt19937 random{5};

    explicit World(std::uint32_t min_bytes = 0) { choice.configure(min_bytes, ticks_per_us); }

    void pass(double ticks) {
        now += static_cast<std::uint64_t>(ticks);
        spent += ticks;
    }
    void finish_landed() {
        std::uint32_t packets = 0;
        for (; !flights.empty() && flights.front().lands <= now; flights.pop_front()) {
            packets += flights.front().packets;
        }
        if (packets > 0) {
            choice.finished(packets, static_cast<std::uint64_t>(finish * packets));
            pass(finish * packets);
        }
    }
    void send(std::uint32_t packets, std::uint64_t size) {
        finish_landed();
        const std::uint64_t bytes = packets * size;
        const Engine engine = choice.choose(packets, bytes, !flights.empty(), now);
        if (engine == Engine::cpu && !flights.empty()) {
            const std::uint64_t lands = flights.back().lands;
            const std::uint64_t wait = lands > now ? lands - now : 0;
            pass(static_cast<double>(wait));
            choice.waited(wait, now);
            finish_landed();
        }
        std::uniform_real_distribution<double> noisy(1 - noise, 1 + noise);
        const double cost = (engine == Engine::cpu ? cpu : dma)(static_cast<double>(size)) * packets * noisy(random);
        choice.sent(engine, packets, bytes, static_cast<std::uint64_t>(cost));
        pass(cost);
        packets_sent += packets;
        if (engine == Engine::dma) {
            by_dma += packets;
            flights.push_back({now + flight, packets});
        }
    }
    // By one engine alone, a packet.
    [[nodiscard]] double alone(Engine engine, double size) const {
        return engine == Engine::cpu ? cpu(size) : dma(size) + finish;
    }
    void forget() { spent = by_dma = packets_sent = 0; }
};

class EverySize : public testing::TestWithParam<std::tuple<std::uint32_t, std::uint64_t>> {};

INSTANTIATE_TEST_SUITE_P(CopyChoice, EverySize,
                         testing::Combine(testing::Values(1U, 8U, 32U),
                                          testing::Values(60U, 128U, 353U, 800U, 1200U, 1500U, 2500U, 9000U)));

TEST_P(EverySize, CostsAtMostFivePercentMoreThanTheBetterEngine) {
    const auto [packets, size] = GetParam();
    World world;
    while (static_cast<double>(world.now) < 1'000'000 * ticks_per_us) {
        world.send(packets, size);
    }
    const double bytes = static_cast<double>(size);
    const double better = std::min(world.alone(Engine::cpu, bytes), world.alone(Engine::dma, bytes));
    EXPECT_LE(world.spent / world.packets_sent, 1.05 * better);
    EXPECT_LE(world.choice.changes(), 20U);
}

TEST(CopyChoice, LearnsFromWhichSizeOnDmaPays) {
    World world; // equal at 60 + b / 4 = 400, which is 1360 bytes
    for (const std::uint64_t size : {64U, 512U, 1100U, 1700U, 4000U, 9000U}) {
        const std::uint64_t end = world.now + static_cast<std::uint64_t>(200'000 * ticks_per_us);
        while (world.now < end) {
            world.send(32, size);
        }
    }
    EXPECT_GT(world.choice.min_bytes(), 1100U);
    EXPECT_LE(world.choice.min_bytes(), 1700U);
}

TEST(CopyChoice, AFewLargeFramesHoldNoStreamOfSmallOnesOnDma) {
    World world;
    for (int i = 0; i < 2'000'000; ++i) {
        if (i == 200'000) {
            world.forget();
        }
        world.send(32, i % 64 == 0 ? 9000 : 64);
    }
    const double better =
        (63 * world.alone(Engine::cpu, 64) + std::min(world.alone(Engine::cpu, 9000), world.alone(Engine::dma, 9000))) /
        64;
    const double cpu_alone = (63 * world.alone(Engine::cpu, 64) + world.alone(Engine::cpu, 9000)) / 64;
    EXPECT_LE(world.spent / world.packets_sent, 1.05 * std::max(better, cpu_alone));
    EXPECT_LT(world.by_dma / world.packets_sent, 0.05);
}

TEST(CopyChoice, ChoosesForEachBatchWhereTheyDoNotOverlap) {
    World world;
    for (int i = 0; i < 400'000; ++i) {
        if (i == 200'000) {
            world.forget();
        }
        world.send(32, i % 2 == 0 ? 9000 : 64);
        world.now += 100'000; // nothing to do
    }
    const double better = (world.alone(Engine::cpu, 64) + world.alone(Engine::dma, 9000)) / 2;
    EXPECT_LE(world.spent / world.packets_sent, 1.05 * better);
    EXPECT_NEAR(world.by_dma / world.packets_sent, 0.5, 0.02);
}

TEST(CopyChoice, FollowsALoadThatTurns) {
    World world;
    for (int turn = 0; turn < 20; ++turn) {
        const std::uint64_t end = world.now + static_cast<std::uint64_t>(200'000 * ticks_per_us);
        const std::uint64_t size = turn % 2 == 0 ? 64 : 9000;
        if (turn > 3) {
            world.forget();
        }
        while (world.now < end) {
            world.send(32, size);
        }
        if (turn > 3) {
            const double better = std::min(world.alone(Engine::cpu, static_cast<double>(size)),
                                           world.alone(Engine::dma, static_cast<double>(size)));
            EXPECT_LE(world.spent / world.packets_sent, 1.05 * better) << size;
        }
    }
    EXPECT_LE(world.choice.changes(), 100U);
}

TEST(CopyChoice, FindsOutWhenADeviceBecomesFasterOrSlower) {
    World world;
    const auto share_after = [&](double dma_cost) {
        world.dma = [dma_cost](double) { return dma_cost; };
        const std::uint64_t end = world.now + static_cast<std::uint64_t>(30'000'000 * ticks_per_us);
        while (world.now < end) {
            world.send(32, 1500);
        }
        world.forget();
        for (int i = 0; i < 10'000; ++i) {
            world.send(32, 1500);
        }
        return world.by_dma / world.packets_sent;
    };
    EXPECT_LT(share_after(3000), 0.05);
    EXPECT_GT(share_after(30), 0.95);
    EXPECT_LT(share_after(3000), 0.05);
}

TEST(CopyChoice, FindsOutSoonWhenTheLoadMakesBothCostSomethingElse) {
    World world;
    world.dma = [](double) { return 300.0; };
    world.cpu = [](double) { return 900.0; };
    while (static_cast<double>(world.now) < 60'000'000 * ticks_per_us) { // trials have become rare
        world.send(32, 1500);
    }
    world.dma = [](double) { return 150.0; };
    world.cpu = [](double) { return 100.0; };
    const std::uint64_t end = world.now + static_cast<std::uint64_t>(100'000 * ticks_per_us);
    while (world.now < end) {
        world.send(32, 1500);
    }
    world.forget();
    for (int i = 0; i < 10'000; ++i) {
        world.send(32, 1500);
    }
    EXPECT_LT(world.by_dma / world.packets_sent, 0.05);
}

TEST(CopyChoice, LearnsNothingFromTheFirstTimeAroundBuffersThatDmaWrote) {
    World world;
    int since_dma = 0;
    world.dma = [&](double) {
        since_dma = 0;
        return 600.0;
    };
    world.cpu = [&](double) { return ++since_dma < 50 ? 2000.0 : 400.0; };
    const std::uint64_t end = world.now + static_cast<std::uint64_t>(2'000'000 * ticks_per_us);
    while (world.now < end) {
        world.send(32, 9000);
    }
    world.forget();
    for (int i = 0; i < 100'000; ++i) {
        world.send(32, 9000);
    }
    EXPECT_LT(world.by_dma / world.packets_sent, 0.05);
}

TEST(CopyChoice, DoesNotFlapWhereBothCostTheSame) {
    World world;
    world.noise = 0.5;
    world.cpu = [](double) { return 400.0; };
    while (static_cast<double>(world.now) < 10'000'000 * ticks_per_us) {
        world.send(32, 1500);
    }
    EXPECT_LE(world.choice.changes(), 200U); // in ten seconds
}

TEST(CopyChoice, ASlowDeviceIsNotWaitedForOften) {
    World world;
    world.flight = 5'000'000; // 5 ms
    const std::uint64_t end = static_cast<std::uint64_t>(2'000'000 * ticks_per_us);
    while (world.now < end) {
        world.send(32, 64);
    }
    EXPECT_LE(world.spent / world.packets_sent, 1.05 * world.alone(Engine::cpu, 64));
}

TEST(CopyChoice, AGivenSizeIsKept) {
    World world(1024);
    world.cpu = [](double) { return 1.0; };
    for (int i = 0; i < 100'000; ++i) {
        world.send(32, 1500);
    }
    EXPECT_GT(world.by_dma / world.packets_sent, 0.99);
    world.forget();
    for (int i = 0; i < 100'000; ++i) {
        world.send(32, 600);
    }
    EXPECT_LT(world.by_dma / world.packets_sent, 0.05);
    EXPECT_EQ(world.choice.min_bytes(), 1024U);
    EXPECT_EQ(world.choice.changes(), 2U);
}

TEST(CopyChoice, AGivenSizeIsTheFirstThatDmaCopies) {
    for (const bool busy : {false, true}) {
        World world(1000);
        for (const auto& [size, by_dma] : {std::pair{999U, 0.0}, {1000U, 1.0}, {999U, 0.0}, {1000U, 1.0}}) {
            for (int i = 0; i < 10'000; ++i) {
                if (i == 5'000) {
                    world.forget();
                }
                world.send(32, size);
                world.now += busy ? 0 : 100'000;
            }
            EXPECT_NEAR(world.by_dma / world.packets_sent, by_dma, 0.01) << size << busy;
        }
    }
}

TEST(CopyChoice, CountsEveryChangeOfTheEngine) {
    World world(1000);
    for (int i = 0; i < 1000; ++i) {
        world.send(32, i % 2 == 0 ? 9000 : 64);
        world.now += 100'000; // nothing is in flight
    }
    EXPECT_NEAR(static_cast<double>(world.choice.changes()), 1000, 5);
}

} // namespace
