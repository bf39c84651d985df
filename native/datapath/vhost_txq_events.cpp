// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: the side of vhost's event thread.
//
// Everything that waits here is bounded: the guest's memory is unmapped when these functions return, so a DMA
// device that does not finish in time is stopped for good rather than left writing.
#include "datapath/vhost_txq.hpp"

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
    if (channel_ != nullptr && !attached_) {
        attached_ = Async::attach(vid, vring());
        if (!attached_) {
            dpdk::log::add("vring " + std::to_string(vring()) + " of device " + std::to_string(vid) +
                           " takes no asynchronous copies");
            return;
        }
    }
    lease_.resume();
    lease_.grant(vid);
}

void VhostTxq::device_gone(int vid) {
    const Deadline deadline(drain_limit_ms);
    lease_.ask_back();
    while (!lease_.is_back()) {
        if (lease_.try_acquire()) {
            housekeep(); // as the owner that is missing
            lease_.release();
        }
        if (!lease_.is_back() && deadline.passed()) {
            declare_channel_dead(vid, "its guest left");
            break;
        }
        usleep(wait_step_us);
    }
    if (attached_) {
        attached_ = false;
        (void)Async::detach(vid, vring());
    }
}

void VhostTxq::vring_off(int vid) {
    lease_.pause();
    if (!attached_) {
        return;
    }
    const Deadline deadline(drain_limit_ms);
    rte_mbuf* returned[Async::max_poll];
    while (channel_usable() && Async::in_flight_in_callback(vid, vring()) > 0) {
        // The lock keeps the owner out of this vring; the channel, which other vrings of the owner use
        // meanwhile, is guarded by librte_vhost itself in every release from 22.11 to 26.07.
        const std::uint16_t count = Async::drain_in_callback(vid, vring(), returned, Async::max_poll, *channel_);
        handed_back_.fetch_add(count, std::memory_order_release);
        if (count == 0 && deadline.passed()) {
            declare_channel_dead(vid, "its vring was switched off");
        }
    }
    if (Async::detach_in_callback(vid, vring())) {
        attached_ = false;
    }
}

void VhostTxq::vring_on(int vid) {
    if (channel_ != nullptr && !attached_) {
        attached_ = Async::attach_in_callback(vid, vring());
        if (!attached_) {
            return;
        }
    }
    lease_.resume();
    if (lease_.is_back()) {
        lease_.grant(vid);
    }
}

// The device is stopped before the guest's memory goes away under it. Nothing is submitted to it or polled
// from it again.
void VhostTxq::declare_channel_dead(int vid, const char* when) {
    if (channel_ == nullptr) {
        return;
    }
    channel_->out_of_use.store(true, std::memory_order_release);
    dpdk::log::add("DMA device " + std::to_string(channel_->dev_id) + " did not finish within " +
                   std::to_string(drain_limit_ms) + " ms for vring " + std::to_string(vring()) + " of device " +
                   std::to_string(vid) + " when " + when + ": it is stopped and out of use");
    const Deadline deadline(drain_limit_ms);
    while (!lease_.is_back() && lease_.asked_back() && !deadline.passed()) {
        if (lease_.try_acquire()) {
            housekeep();
            lease_.release();
        }
        usleep(wait_step_us);
    }
    rte_dma_stop(channel_->dev_id);
}

} // namespace datapath
