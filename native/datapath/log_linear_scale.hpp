// SPDX-License-Identifier: BSD-3-Clause
// The counters of a histogram whose error is the same at every magnitude: values below 2^UnitBits have one each, above
// that half as many share each power of two.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace datapath {

template<unsigned UnitBits> struct LogLinearScale {
    static constexpr std::size_t half_bucket = std::size_t{1} << (UnitBits - 1);

    // Bucket 0 holds [0, 2^UnitBits) in steps of 1, bucket b the upper half of [0, 2^(UnitBits + b)) in steps of 2^b.
    static constexpr std::size_t index_of(std::uint64_t value) {
        const auto width = static_cast<unsigned>(std::bit_width(value));
        const unsigned bucket = width > UnitBits ? width - UnitBits : 0;
        return bucket * half_bucket + static_cast<std::size_t>(value >> bucket);
    }
    static constexpr std::uint64_t last_value_of(std::size_t index) {
        const std::size_t bucket = index < 2 * half_bucket ? 0 : index / half_bucket - 1;
        const std::uint64_t step = std::uint64_t{1} << bucket;
        return (index - bucket * half_bucket) * step + step - 1;
    }
};

} // namespace datapath
