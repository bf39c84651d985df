// SPDX-License-Identifier: BSD-3-Clause
// A copy of a thread's private counters that other threads can read whole: a sequence lock with one writer.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace datapath {

template<typename T> class Published {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);
    static constexpr std::size_t words = sizeof(T) / sizeof(std::uint64_t);

  public:
    // Owner thread only.
    void publish(const T& value) {
        const auto raw = std::bit_cast<std::array<std::uint64_t, words>>(value);
        const auto sequence = sequence_.load(std::memory_order_relaxed);
        sequence_.store(sequence + 1, std::memory_order_relaxed);
        // Pairs with the reader's acquire fence: a reader that saw one of the new words also sees the odd
        // sequence.
        std::atomic_thread_fence(std::memory_order_release);
        for (std::size_t i = 0; i < words; ++i) {
            words_[i].store(raw[i], std::memory_order_relaxed);
        }
        // Pairs with the reader's first load: a reader that sees this even sequence sees all the words.
        sequence_.store(sequence + 2, std::memory_order_release);
    }

    // Any thread. Waits for a writer that is in the middle of publish(), which takes it well under a
    // microsecond.
    [[nodiscard]] T read() const {
        std::array<std::uint64_t, words> raw;
        for (;;) {
            const auto before = sequence_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < words; ++i) {
                raw[i] = words_[i].load(std::memory_order_relaxed);
            }
            std::atomic_thread_fence(std::memory_order_acquire);
            if ((before & 1) == 0 && before == sequence_.load(std::memory_order_relaxed)) {
                return std::bit_cast<T>(raw);
            }
        }
    }

  private:
    alignas(64) std::atomic<std::uint64_t> sequence_{0};
    std::array<std::atomic<std::uint64_t>, words> words_{};
};

} // namespace datapath
