// SPDX-License-Identifier: BSD-3-Clause
// Who may call librte_vhost for one vring, and until when.
//
// The vring's owner (a PMD thread, or the control side) and vhost's event thread meet here, without a lock:
// the event thread grants a device and asks for it back; the owner lets go when it is inside no call. While
// no owner is there, whoever needs one takes the place.
#pragma once

#include <atomic>
#include <cstdint>

namespace datapath {

class VringLease {
  public:
    // ---- vhost's event thread ----
    void grant(int vid) {
        state_.store(State::open, std::memory_order_relaxed);
        // Pairs with vid(): who sees the device sees what was prepared for it.
        vid_.store(vid, std::memory_order_release);
    }
    // The device is leaving: the owner finishes what is in flight and then lets go.
    void ask_back() { state_.store(State::closing, std::memory_order_release); }
    // Pairs with let_go(): afterwards the owner is outside vhost.
    [[nodiscard]] bool is_back() const { return vid_.load(std::memory_order_acquire) < 0; }
    // The vring was switched off or on; the device stays.
    void pause() { paused_.store(true, std::memory_order_release); }
    void resume() { paused_.store(false, std::memory_order_release); }

    // ---- owner ----
    // The device, or -1.
    [[nodiscard]] int vid() const { return vid_.load(std::memory_order_acquire); }
    // May more be put into the vring?
    [[nodiscard]] bool usable() const {
        return state_.load(std::memory_order_relaxed) == State::open && !paused_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool asked_back() const { return state_.load(std::memory_order_acquire) == State::closing; }
    // Releases a device that was asked back, once `finished()` returns true. Loads the device before the state: the
    // state stays `closing` until the next grant, and who sees the device of a new grant also sees its `open`. In the
    // other order the owner could release the next guest's device.
    template<typename Finished> void answer(Finished finished) {
        if (vid() >= 0 && asked_back() && finished()) {
            vid_.store(-1, std::memory_order_release);
        }
    }

    // ---- ownership itself ----
    [[nodiscard]] bool try_acquire() {
        bool expected = false;
        // Acquire pairs with the former owner's release: its ledger is seen whole.
        return owned_.compare_exchange_strong(expected, true, std::memory_order_acquire, std::memory_order_relaxed);
    }
    void release() { owned_.store(false, std::memory_order_release); }

  private:
    enum class State : std::uint8_t { open, closing };

    alignas(64) std::atomic<int> vid_{-1};
    std::atomic<State> state_{State::open};
    std::atomic<bool> paused_{false};
    std::atomic<bool> owned_{false};
};

} // namespace datapath
