// SPDX-License-Identifier: BSD-3-Clause
// The engine beside its model: over what the fuzzer found worth keeping, and over random bytes.
#include "differential.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <gtest/gtest.h>

namespace {

using native_tests::Differential;

TEST(Differential, AgreesOverTheCorpus) {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(CORPUS)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
        EXPECT_EQ(Differential(bytes).run(), "") << entry.path();
        ++files;
    }
    EXPECT_GT(files, 0U);
}

TEST(Differential, AgreesOverRandomBytes) {
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        std::vector<std::uint8_t> bytes(random() % 200);
        for (std::uint8_t& byte : bytes) {
            byte = static_cast<std::uint8_t>(random());
        }
        ASSERT_EQ(Differential(bytes).run(), "") << i;
    }
}

} // namespace
