// SPDX-License-Identifier: BSD-3-Clause
// What threads share: published counters, time counts, the lease of a vring. Worth most under ThreadSanitizer.
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "datapath/published.hpp"
#include "datapath/time_counts.hpp"
#include "datapath/vring_entry.hpp"
#include "datapath/vring_lease.hpp"

namespace {

using datapath::OnTheWay;
using datapath::Published;
using datapath::TimeCounts;
using datapath::VringEntry;
using datapath::VringLease;

struct Figures {
    std::array<std::uint64_t, 40> same;
};

TEST(Published, IsReadWholeAndNeverGoesBack) {
    constexpr std::uint64_t rounds = 20'000;
    constexpr std::uint64_t rounds_read = 2'000;
    Published<Figures> published;
    std::atomic<int> readers_left{2};
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            std::uint64_t last = 0;
            for (std::uint64_t n = 0; n < rounds_read || last < rounds; ++n) {
                const Figures figures = published.read();
                for (const std::uint64_t word : figures.same) {
                    ASSERT_EQ(word, figures.same[0]);
                }
                ASSERT_GE(figures.same[0], last);
                last = figures.same[0];
            }
            --readers_left;
        });
    }
    Figures figures{};
    for (std::uint64_t value = 1; value <= rounds || readers_left > 0; ++value) {
        figures.same.fill(value);
        published.publish(figures);
        if (value > rounds) {
            std::this_thread::yield(); // a reader on the same CPU gets its turn between two
        }
    }
    for (std::thread& reader : readers) {
        reader.join();
    }
}

TEST(TimeCounts, AreReadWhileTheyGrowAndNoneIsLost) {
    constexpr std::uint64_t records = 200'000;
    TimeCounts counts;
    std::atomic<bool> ended{false};
    const auto total = [&] {
        std::uint64_t sum = 0;
        for (const auto& [cycles, count] : counts.read()) {
            sum += count;
        }
        return sum;
    };
    std::thread reader([&] {
        std::uint64_t last = 0;
        while (!ended) {
            const std::uint64_t sum = total();
            ASSERT_GE(sum, last);
            ASSERT_LE(sum, records);
            last = sum;
        }
    });
    for (std::uint64_t i = 0; i < records; ++i) {
        counts.record(i * i * i);
    }
    ended = true;
    reader.join();
    EXPECT_EQ(total(), records);
    EXPECT_EQ(counts.read().back().first >> 40, 1U); // the longest are counted with 2^40 cycles
}

// Two threads that both can own the vring, and vhost's event thread, which lends devices and takes them back. What the
// owner keeps and what the event thread prepares are plain variables: only the lease keeps them apart.
TEST(VringLease, KeepsOwnersAndTheEventThreadApart) {
    constexpr int devices = 300;
    VringLease lease;
    std::uint64_t ledger = 0;   // the owner's
    std::uint64_t prepared = 0; // by the event thread, for the device
    std::uint64_t calls = 0;    // of the owner into vhost
    std::atomic<bool> ended{false};
    std::vector<std::thread> owners;
    for (int i = 0; i < 2; ++i) {
        owners.emplace_back([&] {
            while (!ended) {
                if (!lease.try_acquire()) {
                    std::this_thread::yield();
                    continue;
                }
                for (int n = 0; n < 50; ++n) {
                    ++ledger;
                    if (const int vid = lease.vid(); vid >= 0) {
                        ASSERT_EQ(prepared, static_cast<std::uint64_t>(vid));
                        ++calls;
                        lease.answer([] { return true; });
                    }
                }
                lease.release();
                std::this_thread::yield();
            }
        });
    }
    for (int vid = 0; vid < devices; ++vid) {
        prepared = static_cast<std::uint64_t>(vid);
        lease.grant(vid);
        EXPECT_TRUE(lease.usable());
        lease.pause();
        EXPECT_FALSE(lease.usable());
        lease.resume();
        lease.ask_back();
        EXPECT_FALSE(lease.usable());
        while (!lease.is_back()) {
            std::this_thread::yield();
        }
    }
    ended = true;
    for (std::thread& owner : owners) {
        owner.join();
    }
    EXPECT_TRUE(lease.try_acquire());
    EXPECT_GE(calls, static_cast<std::uint64_t>(devices));
    EXPECT_GT(ledger, calls);
}

// A device that was just lent is not given back by an owner that still thinks of the one before.
TEST(VringLease, KeepsTheNextDeviceAfterOneThatLeft) {
    constexpr int devices = 20'000;
    VringLease lease;
    std::atomic<bool> ended{false};
    std::thread owner([&] {
        while (!ended) {
            lease.answer([] { return true; });
        }
    });
    int thrown_away = 0;
    for (int vid = 0; vid < devices; ++vid) {
        lease.grant(vid);
        for (int look = 0; look < 100; ++look) {
            if (lease.is_back()) {
                ++thrown_away;
                break;
            }
        }
        lease.ask_back();
        while (!lease.is_back()) {
            std::this_thread::yield();
        }
    }
    ended = true;
    owner.join();
    EXPECT_EQ(thrown_away, 0) << "of " << devices << " devices";
}

// While no owner is there the event thread takes the place.
TEST(VringLease, GoesToWhoeverComesWhileNobodyOwnsIt) {
    VringLease lease;
    std::uint64_t ledger = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 1000; ++n) {
                while (!lease.try_acquire()) {
                    std::this_thread::yield();
                }
                ++ledger;
                lease.release();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(ledger, 3000U);
}

TEST(VringEntry, WhoIsKeptOnItsWayLeavesItsThingsToTheKeeper) {
    constexpr std::uint64_t rounds = 2'000;
    VringEntry entry;
    std::uint64_t owners = 0; // plain: its owner's while outside, the keeper's while it keeps it
    std::atomic<bool> done{false};
    std::thread owner([&] {
        while (!done) {
            {
                const OnTheWay on_the_way(entry);
                std::this_thread::yield();
            }
            ++owners;
        }
    });
    for (std::uint64_t kept = 0; kept < rounds;) {
        if (!entry.keep()) {
            std::this_thread::yield();
            continue;
        }
        ++kept;
        const std::uint64_t before = owners;
        std::this_thread::yield();
        ASSERT_EQ(owners, before);
        ++owners;
        entry.let_go();
    }
    done = true;
    owner.join();
    EXPECT_FALSE(entry.keep());
}

} // namespace
