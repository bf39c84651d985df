// SPDX-License-Identifier: BSD-3-Clause
// Whether a DMA device may still be used, agreed among all who have a channel of it.
//
// A device that hangs can be stopped only when nobody is inside a call to it, and only a stopped device surely reads
// and writes no more. So whoever finds it hung takes it out of use, every user lets go of it when it sees that, and the
// last one stops it. Any thread; nobody waits.
#pragma once

#include <atomic>
#include <cstdint>

namespace dpdk {

class DmaUse {
  public:
    // False: it is out of use.
    [[nodiscard]] bool enter();
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
    [[nodiscard]] bool stopped() const { return end_.load(std::memory_order_acquire) == End::stopped; }
    // It was to be stopped and refused; what it was given stays with it.
    [[nodiscard]] bool cannot_be_stopped() const { return end_.load(std::memory_order_acquire) == End::failed; }

  private:
    enum class End : std::uint8_t { none, stopped, failed };
    static constexpr std::uint32_t out = 1;
    static constexpr std::uint32_t user = 2;

    void stop(std::int16_t dev_id);

    std::atomic<std::uint32_t> state_{0};
    std::atomic<End> end_{End::none};
};

// One virtual channel of a started DMA device. One owner thread submits to it and polls it.
struct DmaChannel {
    std::int16_t dev_id = -1;
    std::uint16_t vchan = 0;
    DmaUse* use = nullptr; // the device's
};

// One user's hold on the device of a channel. Taken by its user, or by who acts for it while it does not use the
// device; let go of by either.
class DmaHold {
  public:
    [[nodiscard]] bool take(DmaChannel& channel) {
        if (!channel.use->enter()) {
            return false;
        }
        channel_.store(&channel, std::memory_order_relaxed);
        held_.store(true, std::memory_order_release);
        return true;
    }
    void let_go() {
        if (held_.exchange(false, std::memory_order_acq_rel)) {
            channel()->use->leave(channel()->dev_id);
        }
    }
    // What is held, or was last; nullptr before. Who sees that one is held sees which.
    [[nodiscard]] DmaChannel* channel() const { return channel_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool held() const { return held_.load(std::memory_order_acquire); }
    [[nodiscard]] bool usable() const { return held() && channel()->use->usable(); }

  private:
    std::atomic<DmaChannel*> channel_{nullptr};
    std::atomic<bool> held_{false};
};

} // namespace dpdk
