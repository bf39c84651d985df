// SPDX-License-Identifier: BSD-3-Clause
// The work ring: indices that run over 2^32, and how much fits.
#include "defer/work_ring.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace {

using defer::WorkRing;

class RingOfEverySize : public testing::TestWithParam<std::uint32_t> {};

TEST_P(RingOfEverySize, HoldsOneLessThanItsSizeAndKeepsTheOrderAcrossTheWrap) {
    const std::uint32_t size = GetParam();
    WorkRing ring(size, 0U - size - 3);
    EXPECT_EQ(ring.capacity(), size - 1);
    std::uint32_t written = 0;
    std::uint32_t read = 0;
    // Three times around in steps of different lengths, over 2^32 on the way.
    for (std::uint32_t step = 1; read < 3 * size; step = step % (size - 1) + 1) {
        for (std::uint32_t i = 0; i < step && !ring.full(); ++i) {
            ring.push().call.attempts = written++;
        }
        ASSERT_EQ(ring.count(), written - read);
        ASSERT_EQ(ring.full(), written - read == size - 1);
        for (std::uint32_t i = 0; i < (step + 1) / 2 && !ring.empty(); ++i) {
            ASSERT_EQ(ring.head().call.attempts, read++);
            ring.pop();
        }
    }
    while (!ring.full()) {
        ring.push().call.attempts = written++;
    }
    EXPECT_EQ(ring.count(), size - 1);
    while (!ring.empty()) {
        ASSERT_EQ(ring.head().call.attempts, read++);
        ring.pop();
    }
    EXPECT_EQ(read, written);
}

INSTANTIATE_TEST_SUITE_P(WorkRing, RingOfEverySize, testing::Values(2, 4, 8, 128, 1024, 65536));

TEST(WorkRing, IsEmptyAndFullAtEveryPlaceOfItsIndices) {
    for (std::uint32_t first = 0U - 9; first != 9; ++first) {
        WorkRing ring(4, first);
        EXPECT_TRUE(ring.empty());
        for (int i = 0; i < 3; ++i) {
            EXPECT_FALSE(ring.full());
            (void)ring.push();
        }
        EXPECT_TRUE(ring.full());
        ring.pop();
        EXPECT_FALSE(ring.full());
    }
}

TEST(WorkRing, RefusesSizesThatNoRingCanHave) {
    for (const std::uint32_t size : {0U, 1U, 3U, 100U, 65535U, 131072U, 0x80000000U}) {
        EXPECT_THROW(WorkRing{size}, std::invalid_argument) << size;
    }
}

} // namespace
