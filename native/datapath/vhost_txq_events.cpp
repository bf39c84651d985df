// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: the side of vhost's event thread.
//
// Everything that waits here is bounded: the guest's memory is unmapped when these functions return, so a DMA
// device that does not finish in time is stopped for good rather than left writing.
#include "datapath/vhost_txq.hpp"

#include <functional>
#include <string>

#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_vhost.h>

#include "dpdk/log.hpp"

namespace datapath {
namespace {

constexpr unsigned drain_limit_ms = 5000;
constexpr unsigned wait_step_us = 50;

class Deadline {
  public:
    explicit Deadline(unsigned milliseconds)
        : end_(rte_rdtsc() + rte_get_tsc_hz() / 1000 * milliseconds) {}
    [[nodiscard]] bool passed() const { return rte_rdtsc() > end_; }

  private:
    std::uint64_t end_;
};

} // namespace

void VhostTxq::device_ready(int vid) {
    wedged_.store(false, std::memory_order_relaxed);
    handed_back_.store(0, std::memory_order_relaxed);
    choose_channel();
    if (channel() != nullptr && !attached_) {
        attached_ = Async::attach(vid, vring());
        if (!attached_) {
            dpdk::log::add("vring " + std::to_string(vring()) + " of device " + std::to_string(vid) +
                           " takes no asynchronous copies");
            let_go_of_channel();
            return;
        }
    }
    lease_.resume();
    lease_.grant(vid);
}

void VhostTxq::device_gone(int vid) {
    lease_.ask_back();
    wait_while([this] { return !lease_.is_back(); }, vid, "its guest left");
    if (attached_) {
        attached_ = false;
        (void)Async::detach(vid, vring());
    }
    let_go_of_channel();
}

void VhostTxq::vring_off(int vid) {
    lease_.pause();
    if (!attached_) {
        return;
    }
    rte_mbuf* returned[Async::max_poll];
    wait_while(
        [&] {
            if (wedged_.load(std::memory_order_acquire) || Async::in_flight_in_callback(vid, vring()) <= 0) {
                return false;
            }
            // The lock keeps the owner out of this vring; the channel, which other vrings of the owner use
            // meanwhile, is guarded by librte_vhost itself in every release from 22.11 to 26.07.
            dpdk::DmaChannel& channel_in_use = *channel();
            if (channel_in_use.use->enter()) {
                const std::uint16_t count =
                    Async::drain_in_callback(vid, vring(), returned, Async::max_poll, channel_in_use);
                // Before the channel is let go of: once its device is stopped the owner frees all that it still misses.
                handed_back_.fetch_add(count, std::memory_order_release);
                channel_in_use.use->leave(channel_in_use.dev_id);
            }
            return true;
        },
        vid, "its vring was switched off");
    if (Async::detach_in_callback(vid, vring())) {
        attached_ = false;
    }
}

void VhostTxq::vring_on(int vid) {
    if (channel() != nullptr && !attached_) {
        attached_ = Async::attach_in_callback(vid, vring());
        if (!attached_) {
            return;
        }
    }
    lease_.resume();
    if (lease_.is_back()) {
        choose_channel();
        lease_.grant(vid);
    }
}

// Takes the place of an owner that is missing. When the DMA device does not finish in time it is taken out of use, so
// that it is stopped before the guest's memory goes away under it.
void VhostTxq::wait_while(const std::function<bool()>& waiting, int vid, const char* when) {
    const Deadline in_time(drain_limit_ms);
    const Deadline at_all(2 * drain_limit_ms);
    while (waiting() && !at_all.passed()) {
        if (lease_.try_acquire()) {
            housekeep();
            lease_.release();
        }
        if (in_time.passed() && channel() != nullptr && channel()->use->usable()) {
            dpdk::log::add("DMA device " + std::to_string(channel()->dev_id) + " did not finish within " +
                           std::to_string(drain_limit_ms) + " ms for vring " + std::to_string(vring()) + " of device " +
                           std::to_string(vid) + " when " + when + ": it is taken out of use");
            found_hung_.fetch_add(1, std::memory_order_relaxed);
            channel()->use->take_out(channel()->dev_id);
        }
        usleep(wait_step_us);
    }
}

} // namespace datapath
