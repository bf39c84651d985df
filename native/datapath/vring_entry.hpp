// SPDX-License-Identifier: BSD-3-Clause
// Whether a vring's owner is on its way into vhost, where it may have to wait for the vring's lock.
//
// vhost's event thread, in a callback that holds the locks of all vrings of a guest, cannot let an owner in that waits
// there. But it can act for it: an owner on its way holds no lock and is inside no DMA device as long as the event
// thread keeps it.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace datapath {

class VringEntry {
  public:
    // ---- owner: around each call that takes the vring's lock ----
    void enter() { state_.store(State::inside, std::memory_order_release); }
    void leave() {
        State expected = State::inside;
        while (!state_.compare_exchange_weak(expected, State::outside, std::memory_order_acquire)) {
            expected = State::inside;
            std::this_thread::yield(); // kept by the event thread, for as long as it takes to stop a device
        }
    }

    // ---- vhost's event thread, with the vring's lock held ----
    // True: the owner is on its way, and stays there until it is let go of.
    [[nodiscard]] bool keep() {
        State expected = State::inside;
        return state_.compare_exchange_strong(expected, State::kept, std::memory_order_acquire);
    }
    void let_go() { state_.store(State::inside, std::memory_order_release); }

  private:
    enum class State : std::uint8_t { outside, inside, kept };
    std::atomic<State> state_{State::outside};
};

// For one call.
class OnTheWay {
  public:
    explicit OnTheWay(VringEntry& entry)
        : entry_(entry) {
        entry_.enter();
    }
    ~OnTheWay() { entry_.leave(); }
    OnTheWay(const OnTheWay&) = delete;
    OnTheWay& operator=(const OnTheWay&) = delete;

  private:
    VringEntry& entry_;
};

} // namespace datapath
