// SPDX-License-Identifier: BSD-3-Clause
// A value on its way from the control side to a fast path that must not wait.
#pragma once

#include <atomic>
#include <thread>

namespace faults {

template<typename T> class Handover {
  public:
    // Control side; a value that was not taken yet is replaced. May wait for a taker in the middle of a copy.
    void offer(const T& value) {
        while (busy_.test_and_set(std::memory_order_acquire)) {
            std::this_thread::yield();
        }
        value_ = value;
        fresh_.store(true, std::memory_order_relaxed);
        busy_.clear(std::memory_order_release);
    }

    // Any thread: something was offered and not taken yet.
    [[nodiscard]] bool pending() const { return fresh_.load(std::memory_order_relaxed); }

    // Fast path. False: there is nothing new, or it is being written at this moment and is there next time.
    [[nodiscard]] bool take(T& into) {
        if (!fresh_.load(std::memory_order_relaxed)) [[likely]] {
            return false;
        }
        // Pairs with offer()'s clear: who gets the flag sees the whole value.
        if (busy_.test_and_set(std::memory_order_acquire)) {
            return false;
        }
        into = value_;
        fresh_.store(false, std::memory_order_relaxed);
        busy_.clear(std::memory_order_release);
        return true;
    }

  private:
    std::atomic_flag busy_;
    std::atomic<bool> fresh_{false};
    T value_{};
};

} // namespace faults
