// SPDX-License-Identifier: BSD-3-Clause
// Whether a DMA device may still be used, agreed among all who have a channel of it.
//
// A device that hangs can be stopped only when nobody is inside a call to it, and only a stopped device surely reads
// and writes no more. So whoever finds it hung takes it out of use, every user lets go of it when it sees that, and the
// last one stops it. Any thread; nobody waits.
#pragma once

#include <atomic>
#include <cstdint>

#include <rte_dmadev.h>

namespace dpdk {

class DmaUse {
  public:
    // False: it is out of use.
    [[nodiscard]] bool enter() {
        std::uint32_t state = state_.load(std::memory_order_relaxed);
        do {
            if ((state & out) != 0) {
                return false;
            }
        } while (!state_.compare_exchange_weak(state, state + user, std::memory_order_acq_rel));
        return true;
    }
    void leave(std::int16_t dev_id) {
        if (state_.fetch_sub(user, std::memory_order_acq_rel) == (user | out)) {
            stop(dev_id);
        }
    }
    void take_out(std::int16_t dev_id) {
        if (state_.fetch_or(out, std::memory_order_acq_rel) == 0) {
            stop(dev_id);
        }
    }

    [[nodiscard]] bool usable() const { return (state_.load(std::memory_order_relaxed) & out) == 0; }
    // Nothing of what it was given is read or written any more. Pairs with stop().
    [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_acquire); }

  private:
    static constexpr std::uint32_t out = 1;
    static constexpr std::uint32_t user = 2;

    // A device that cannot be stopped keeps what it was given for good.
    void stop(std::int16_t dev_id) { stopped_.store(rte_dma_stop(dev_id) == 0, std::memory_order_release); }

    std::atomic<std::uint32_t> state_{0};
    std::atomic<bool> stopped_{false};
};

} // namespace dpdk
