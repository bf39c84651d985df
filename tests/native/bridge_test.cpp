// SPDX-License-Identifier: BSD-3-Clause
// What l2 forwarding learns: found again, moved, aged, forgotten, and by several threads at once.
#include "datapath/bridge.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

using datapath::Bridge;

Bridge::Address station(std::uint32_t number) {
    const std::array<std::uint8_t, Bridge::address_bytes> bytes{2,
                                                                0,
                                                                static_cast<std::uint8_t>(number >> 24),
                                                                static_cast<std::uint8_t>(number >> 16),
                                                                static_cast<std::uint8_t>(number >> 8),
                                                                static_cast<std::uint8_t>(number)};
    return Bridge::address(bytes.data());
}

TEST(Bridge, FindsWhatItLearned) {
    Bridge bridge(100, 300);
    EXPECT_EQ(bridge.find(station(1), 10), -1);
    bridge.learn(station(1), 0, 10);
    bridge.learn(station(2), 65535, 10);
    EXPECT_EQ(bridge.find(station(1), 10), 0);
    EXPECT_EQ(bridge.find(station(2), 10), 65535);
}

TEST(Bridge, AGroupAndTheZeroAddressAreNobodys) {
    Bridge bridge(100, 300);
    for (const Bridge::Address address :
         {Bridge::Address{0}, Bridge::Address{0xffffffffffff0000}, Bridge::Address{0x01005e0000010000}}) {
        bridge.learn(address, 3, 10);
        EXPECT_EQ(bridge.find(address, 10), -1);
    }
    EXPECT_TRUE(bridge.entries(10).empty());
}

TEST(Bridge, AStationThatMovedIsWhereItWasSeenLast) {
    Bridge bridge(100, 300);
    bridge.learn(station(1), 4, 10);
    bridge.learn(station(1), 5, 11);
    EXPECT_EQ(bridge.find(station(1), 11), 5);
    EXPECT_EQ(bridge.entries(11).size(), 1U);
}

TEST(Bridge, WhatIsNotSeenForLongIsForgotten) {
    Bridge bridge(100, 20);
    bridge.learn(station(1), 4, 10);
    bridge.learn(station(2), 4, 10);
    bridge.learn(station(2), 4, 25);
    EXPECT_EQ(bridge.find(station(1), 29), 4);
    EXPECT_EQ(bridge.find(station(1), 30), -1);
    EXPECT_EQ(bridge.find(station(2), 44), 4);
    EXPECT_EQ(bridge.entries(30).size(), 1U);
    EXPECT_EQ(bridge.entries(30).front().age_seconds, 5U);
    bridge.learn(station(1), 6, 50);
    EXPECT_EQ(bridge.find(station(1), 50), 6);
}

TEST(Bridge, AnEntryMayBeYoungerThanTheClockOfWhoLooks) {
    Bridge bridge(100, 1);
    bridge.learn(station(1), 4, 11);
    EXPECT_EQ(bridge.find(station(1), 10), 4);
}

TEST(Bridge, APortThatGoesTakesItsStationsAlong) {
    Bridge bridge(100, 300);
    bridge.learn(station(1), 4, 10);
    bridge.learn(station(2), 5, 10);
    bridge.forget(4);
    EXPECT_EQ(bridge.find(station(1), 10), -1);
    EXPECT_EQ(bridge.find(station(2), 10), 5);
}

TEST(Bridge, HasRoomForAsManyAsItWasMadeForAndStaysUsableBeyond) {
    constexpr std::uint32_t size = 8192;
    Bridge bridge(size, 300);
    for (std::uint32_t i = 0; i < size; ++i) {
        bridge.learn(station(i * 7919), static_cast<std::uint16_t>(i), 10);
    }
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < size; ++i) {
        found += bridge.find(station(i * 7919), 10) == static_cast<int>(i);
    }
    EXPECT_GE(found, size * 95 / 100); // the rest met four others in its bucket
    for (std::uint32_t i = 0; i < 20 * size; ++i) {
        bridge.learn(station(i), 1, 11);
        EXPECT_EQ(bridge.find(station(i), 11), 1);
    }
}

TEST(Bridge, TheStalestOfItsBucketMakesRoom) {
    Bridge bridge(1, 300); // two buckets
    for (std::uint32_t i = 0; i < 1000; ++i) {
        bridge.learn(station(1), 7, i);
        bridge.learn(station(100 + i), 1, i);
    }
    EXPECT_EQ(bridge.find(station(1), 999), 7);
}

TEST(Bridge, SeveralThreadsLearnAndLookUpAtOnce) {
    constexpr std::uint32_t stations = 64;
    Bridge bridge(stations, 300);
    std::vector<std::thread> threads;
    for (std::uint16_t port = 0; port < 4; ++port) {
        threads.emplace_back([&bridge, port] {
            for (std::uint32_t i = 0; i < 20000; ++i) {
                bridge.learn(station(i % stations), port, i / 1000);
                const int found = bridge.find(station((i * 31) % stations), i / 1000);
                ASSERT_TRUE(found >= -1 && found < 4);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (std::uint32_t i = 0; i < stations; ++i) {
        EXPECT_GE(bridge.find(station(i), 20), 0);
    }
}

} // namespace
