// SPDX-License-Identifier: BSD-3-Clause
// What l2 forwarding has learned: which MAC address is behind which port. All PMD threads learn and look up at once.
//
// Nothing locks. An entry is one 64-bit word, address and port, in a bucket of four; a new address takes the place of
// the one in its bucket that was not seen for the longest. Two threads may put an address in twice: the first is found
// and kept fresh, the other ages.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace datapath {

class Bridge {
  public:
    static constexpr std::size_t address_bytes = 6;
    // An address in the upper 48 bits, the first byte on top.
    using Address = std::uint64_t;
    [[nodiscard]] static Address address(const std::uint8_t* bytes) {
        Address word = 0;
        for (std::size_t i = 0; i < address_bytes; ++i) {
            word = word << 8 | bytes[i];
        }
        return word << 16;
    }
    struct Entry {
        std::array<std::uint8_t, address_bytes> address;
        std::uint16_t port;
        std::uint32_t age_seconds;
    };

    // Room for `addresses` and as many again. One that was not seen for `ageing_seconds` is forgotten.
    Bridge(std::uint32_t addresses, std::uint32_t ageing_seconds);

    // ---- PMD threads ----
    // `now`: seconds on a clock that all threads share. Group addresses are nobody's.
    void learn(Address address, std::uint16_t port, std::uint32_t now) {
        if (address == 0 || (address & group_bit) != 0) {
            return;
        }
        const std::uint64_t word = address | port;
        Bucket& bucket = bucket_of(word);
        for (std::size_t i = 0; i < bucket_size; ++i) {
            if (bucket.words[i].load(std::memory_order_relaxed) == word) [[likely]] {
                if (bucket.seen[i].load(std::memory_order_relaxed) != now) {
                    bucket.seen[i].store(now, std::memory_order_relaxed);
                }
                return;
            }
        }
        put(bucket, word, now);
    }
    // The port that the address is behind; -1: not known, or not one station's.
    [[nodiscard]] int find(Address address, std::uint32_t now) const {
        const Bucket& bucket = bucket_of(address);
        for (std::size_t i = 0; i < bucket_size; ++i) {
            const std::uint64_t word = bucket.words[i].load(std::memory_order_relaxed);
            if (word != empty && (word & ~port_bits) == address &&
                !aged(bucket.seen[i].load(std::memory_order_relaxed), now)) {
                return static_cast<int>(word & port_bits);
            }
        }
        return -1;
    }

    // ---- control side ----
    // No thread learns of this port any more.
    void forget(std::uint16_t port);
    [[nodiscard]] std::vector<Entry> entries(std::uint32_t now) const;

  private:
    static constexpr std::size_t bucket_size = 4;
    static constexpr std::uint64_t port_bits = 0xffff;
    static constexpr std::uint64_t group_bit = 1ull << 56;
    static constexpr std::uint64_t empty = 0;

    struct alignas(64) Bucket {
        std::array<std::atomic<std::uint64_t>, bucket_size> words{};
        std::array<std::atomic<std::uint32_t>, bucket_size> seen{};
    };

    [[nodiscard]] std::size_t number_of_bucket(std::uint64_t word) const {
        return ((word >> 16) * 0x9e3779b97f4a7c15) >> shift_; // Fibonacci hashing
    }
    [[nodiscard]] Bucket& bucket_of(std::uint64_t word) { return buckets_[number_of_bucket(word)]; }
    [[nodiscard]] const Bucket& bucket_of(std::uint64_t word) const { return buckets_[number_of_bucket(word)]; }
    // Threads read the clock at different times: an entry may be younger than `now`.
    [[nodiscard]] bool aged(std::uint32_t seen, std::uint32_t now) const {
        return now > seen && now - seen >= ageing_seconds_;
    }
    void put(Bucket& bucket, std::uint64_t word, std::uint32_t now);

    std::uint32_t ageing_seconds_;
    unsigned shift_;
    std::vector<Bucket> buckets_;
};

} // namespace datapath
