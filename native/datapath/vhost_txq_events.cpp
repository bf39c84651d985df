// SPDX-License-Identifier: BSD-3-Clause
// One transmit queue of a vhost port: the side of vhost's event thread.
//
// vhost unmaps the guest's memory when these functions return, so a DMA device that does not finish in time is stopped
// for good. Waits under vhost's locks have a limit. device_gone() holds no lock, and waits for the vring's owner
// without a limit.
#include "datapath/vhost_txq.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dmadev.h>
#include <rte_vhost.h>

#include "dpdk/log.hpp"

namespace datapath {

using dpdk::log::Level;
using dpdk::log::tell;

namespace {

constexpr unsigned drain_limit_ms = 5000;
constexpr unsigned switch_off_limit_ms = 1000;
constexpr unsigned shortest_patience_ms = 10; // so that no device is lost that only has to finish
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

// The owners of a guest's txqs, as its event thread finds them while it holds the locks of all its vrings.
class VhostTxq::LockedOut {
  public:
    explicit LockedOut(std::span<VhostTxq> txqs)
        : txqs_(txqs) {}

    // To be asked again and again: has one of them waited for a lock for so long that it has waited for all of what it
    // may in one turn of its loop, but at least for `patience` cycles?
    [[nodiscard]] bool too_long(std::uint64_t patience) {
        const std::uint64_t now = rte_rdtsc();
        const std::uint64_t since = now - std::exchange(last_look_, now);
        bool waits = false;
        bool used_up = false;
        for_each([&](Owner& owner) {
            waits = true;
            owner.waited += since;
            used_up |= owner.waited >= owner.max_stall;
        });
        if (!waits) {
            first_seen_ = now;
        }
        return used_up && now - first_seen_ >= patience;
    }
    // In their place, as they cannot.
    void let_go_of(const dpdk::DmaUse& device) {
        for_each([&](Owner& owner) {
            for (dpdk::DmaHold* hold : owner.dma_holds) {
                if (hold->held() && hold->channel()->use == &device) {
                    hold->let_go();
                }
            }
        });
    }

  private:
    template<typename Action> void for_each(Action action) {
        for (VhostTxq& txq : txqs_) {
            if (txq.entry_.keep()) {
                action(*txq.owner_);
                txq.entry_.let_go();
            }
        }
    }

    std::span<VhostTxq> txqs_;
    std::uint64_t last_look_ = rte_rdtsc();
    std::uint64_t first_seen_ = last_look_;
};

void VhostTxq::device_ready(int vid) {
    switch_on(vid, Async::attach);
}

void VhostTxq::device_gone() {
    lease_.ask_back();
    const Deadline in_time(drain_limit_ms);
    const Deadline at_all(2 * drain_limit_ms);
    for (bool told = false; !lease_.is_back(); usleep(wait_step_us)) {
        act_for_missing_owner();
        if (in_time.passed()) {
            take_out_of_use("when its guest left");
        }
        if (at_all.passed() && !told) {
            told = true;
            tell(Level::warning,
                 title() + ": the guest left, and the PMD thread has not released it yet; still waiting");
        }
    }
}

// vhost refuses to detach a vring with packets in flight, as after a wedge; it frees the whole device soon.
void VhostTxq::detach(int vid) {
    if (attached_) {
        (void)Async::detach(vid, vring());
        attached_ = false;
    }
}

void VhostTxq::vring_off(int vid, std::span<VhostTxq> txqs, bool memory_stays) {
    lease_.pause();
    if (attached_ && finish_in_flight(vid, txqs, memory_stays) && Async::detach_in_callback(vid, vring())) {
        attached_ = false;
    }
}

void VhostTxq::finish_before_switch(int vid, std::span<VhostTxq> txqs, bool on) {
    if (attached_ && !finish_in_flight(vid, txqs, true)) {
        if (!on && lease_.usable()) {
            const int left = Async::in_flight_in_callback(vid, vring());
            undelivered_.store(static_cast<std::uint32_t>(std::max(left, 0)), std::memory_order_release);
        }
        tell(Level::warning,
             title() + (on ? " is switched on while copies for it hang: the connection is about to be closed"
                           : " is switched off while copies for it hang: the guest loses their buffers until it resets "
                             "the device"));
    }
}

bool VhostTxq::finish_in_flight(int vid, std::span<VhostTxq> txqs, bool memory_stays) {
    const Deadline in_time(memory_stays ? switch_off_limit_ms : drain_limit_ms);
    const std::uint64_t patience = memory_stays ? 0 : rte_get_tsc_hz() / 1000 * shortest_patience_ms;
    LockedOut locked_out(txqs);
    for (std::uint16_t drained = 0; drain_some(vid, drained); drained > 0 ? 0 : usleep(wait_step_us)) {
        act_for_missing_owner();
        const bool keeps_thread = locked_out.too_long(patience);
        if (memory_stays && (keeps_thread || in_time.passed())) {
            return false; // its owner finishes it, or device_gone()
        }
        if (in_time.passed()) {
            take_out_of_use("when its guest changed its memory");
        } else if (keeps_thread) {
            take_out_of_use("when its guest changed its memory, and a PMD thread has to go on");
        }
        if (const dpdk::DmaUse& device = *hold_.channel()->use; !device.usable()) {
            locked_out.let_go_of(device);
        }
    }
    return true;
}

void VhostTxq::vring_on(int vid) {
    switch_on(vid, Async::attach_in_callback);
}

void VhostTxq::switch_on(int vid, bool (*attach)(int, std::uint16_t)) {
    if (options_.dma && !attached_) {
        attached_ = attach(vid, vring());
        if (!attached_) {
            tell(Level::warning, title() + " takes no asynchronous copies, and gets no packets");
            return;
        }
    }
    lease_.resume();
    if (lease_.is_back()) {
        wedged_.store(lost_, std::memory_order_relaxed);
        handed_back_.store(0, std::memory_order_relaxed);
        undelivered_.store(0, std::memory_order_relaxed);
        lease_.grant(vid);
    }
}

// The vring's lock keeps the owner out of it; the channel, which other vrings of the owner use meanwhile, is guarded by
// librte_vhost itself in every release from 22.11 to 26.07. False: nothing is in flight, or the device will write no
// more of it, or cannot be kept from it.
bool VhostTxq::drain_some(int vid, std::uint16_t& drained) {
    drained = 0;
    if (Async::in_flight_in_callback(vid, vring()) <= 0) {
        return false;
    }
    const dpdk::DmaChannel& channel = *hold_.channel();
    if (channel.use->enter()) {
        rte_mbuf* returned[Async::max_poll];
        drained = Async::drain_in_callback(vid, vring(), returned, Async::max_poll, channel);
        // Before the channel is let go of: once its device is stopped the owner frees all that it still misses.
        handed_back_.fetch_add(drained, std::memory_order_release);
        channel.use->leave(channel.dev_id);
    }
    return !channel.use->stopped() && !channel.use->cannot_be_stopped();
}

void VhostTxq::act_for_missing_owner() {
    if (lease_.try_acquire()) {
        housekeep();
        lease_.release();
    }
}

void VhostTxq::take_out_of_use(const std::string& when) {
    const dpdk::DmaChannel* const channel = hold_.channel();
    if (channel == nullptr || !channel->use->usable()) {
        return;
    }
    tell(Level::warning, title() + ": DMA device " + std::to_string(channel->dev_id) + " did not finish in time " +
                             when + ": it is taken out of use");
    found_hung_.fetch_add(1, std::memory_order_relaxed);
    channel->use->take_out(channel->dev_id);
}

} // namespace datapath
