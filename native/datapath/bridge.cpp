// SPDX-License-Identifier: BSD-3-Clause
// What l2 forwarding has learned: what changes it, and what reads it as a whole.
#include "datapath/bridge.hpp"

#include <algorithm>
#include <bit>

namespace datapath {

Bridge::Bridge(std::uint32_t addresses, std::uint32_t ageing_seconds)
    : ageing_seconds_(ageing_seconds)
    // Twice as much: addresses do not spread evenly over the buckets. At least two, so that the hash has a bit.
    , buckets_(std::max<std::size_t>(2, std::bit_ceil(2 * static_cast<std::size_t>(addresses) / bucket_size))) {
    shift_ = 64 - static_cast<unsigned>(std::countr_zero(buckets_.size()));
}

// The address moved, is new, or was forgotten. Who loses the race for an entry starts over.
void Bridge::put(Bucket& bucket, std::uint64_t word, std::uint32_t now) {
    for (;;) {
        std::size_t place = 0;
        std::uint64_t found = empty;
        for (std::size_t i = 0; i < bucket_size; ++i) {
            const std::uint64_t there = bucket.words[i].load(std::memory_order_relaxed);
            const bool same_address = there != empty && (there & ~port_bits) == (word & ~port_bits);
            const bool staler =
                bucket.seen[i].load(std::memory_order_relaxed) < bucket.seen[place].load(std::memory_order_relaxed);
            if (same_address || i == 0 || (there == empty && found != empty) ||
                ((there == empty) == (found == empty) && staler)) {
                place = i;
                found = there;
            }
            if (same_address) {
                break;
            }
        }
        if (bucket.words[place].compare_exchange_strong(found, word, std::memory_order_relaxed)) {
            bucket.seen[place].store(now, std::memory_order_relaxed);
            return;
        }
    }
}

void Bridge::forget(std::uint16_t port) {
    for (auto& bucket : buckets_) {
        for (auto& word : bucket.words) {
            std::uint64_t there = word.load(std::memory_order_relaxed);
            if (there != empty && (there & port_bits) == port) {
                word.compare_exchange_strong(there, empty, std::memory_order_relaxed);
            }
        }
    }
}

std::vector<Bridge::Entry> Bridge::entries(std::uint32_t now) const {
    std::vector<Entry> result;
    for (const auto& bucket : buckets_) {
        for (std::size_t i = 0; i < bucket_size; ++i) {
            const std::uint64_t word = bucket.words[i].load(std::memory_order_relaxed);
            const std::uint32_t seen = bucket.seen[i].load(std::memory_order_relaxed);
            if (word == empty || aged(seen, now)) {
                continue;
            }
            Entry entry{.address = {},
                        .port = static_cast<std::uint16_t>(word & port_bits),
                        .age_seconds = now > seen ? now - seen : 0};
            for (std::size_t byte = 0; byte < entry.address.size(); ++byte) {
                entry.address[byte] = static_cast<std::uint8_t>(word >> (56 - 8 * byte));
            }
            result.push_back(entry);
        }
    }
    return result;
}

} // namespace datapath
