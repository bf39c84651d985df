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

#include <rte_ether.h>

namespace datapath {

class Bridge {
  public:
    struct Entry {
        std::array<std::uint8_t, RTE_ETHER_ADDR_LEN> address;
        std::uint16_t port;
        std::uint32_t age_seconds;
    };

    // Room for at least `addresses`. An address that was not seen for `ageing_seconds` is forgotten.
    Bridge(std::uint32_t addresses, std::uint32_t ageing_seconds);

    // Seconds on the clock that all threads share.
    [[nodiscard]] static std::uint32_t seconds(std::uint64_t tsc);

    // ---- PMD threads ----
    // `now`: seconds(). Group addresses are nobody's.
    void learn(const rte_ether_addr& address, std::uint16_t port, std::uint32_t now) {
        if (!rte_is_unicast_ether_addr(&address)) {
            return;
        }
        const std::uint64_t word = key(address) | port;
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
    [[nodiscard]] int find(const rte_ether_addr& address, std::uint32_t now) const {
        const std::uint64_t wanted = key(address);
        const Bucket& bucket = bucket_of(wanted);
        for (std::size_t i = 0; i < bucket_size; ++i) {
            const std::uint64_t word = bucket.words[i].load(std::memory_order_relaxed);
            if ((word & ~port_bits) == wanted && !aged(bucket.seen[i].load(std::memory_order_relaxed), now)) {
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
    static constexpr std::uint64_t empty = 0;

    struct alignas(64) Bucket {
        std::array<std::atomic<std::uint64_t>, bucket_size> words{};
        std::array<std::atomic<std::uint32_t>, bucket_size> seen{};
    };

    // The address in the upper 48 bits.
    [[nodiscard]] static std::uint64_t key(const rte_ether_addr& address) {
        std::uint64_t word = 0;
        for (const std::uint8_t byte : address.addr_bytes) {
            word = word << 8 | byte;
        }
        return word << 16;
    }
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
