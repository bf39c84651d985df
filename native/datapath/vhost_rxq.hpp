// SPDX-License-Identifier: BSD-3-Clause
// One receive queue of a vhost port: packets out of the guest's transmit vring, copied by the CPU.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_vhost.h>
#include <unistd.h>

#include "datapath/published.hpp"
#include "datapath/statistics.hpp"
#include "datapath/vring_lease.hpp"
#include "dpdk/vhost_socket.hpp"

namespace datapath {

class VhostRxq {
  public:
    void configure(std::uint16_t qid, rte_mempool* pool) {
        vring_ = dpdk::guest_tx_vring(qid);
        pool_ = pool;
    }

    // ---- owner ----
    void acquire() {
        while (!lease_.try_acquire()) {
            rte_pause(); // the event thread takes the place of a missing owner for a moment
        }
    }
    void release() {
        housekeep({});
        lease_.release();
    }
    [[nodiscard]] std::uint16_t receive(rte_mbuf** packets, std::uint16_t count) {
        const int vid = lease_.vid();
        if (vid < 0 || !lease_.usable()) {
            return 0;
        }
        const std::uint16_t received = rte_vhost_dequeue_burst(vid, vring_, pool_, packets, count);
        if (received > 0) {
            stats_.packets += received;
            ++stats_.batches;
            for (std::uint16_t i = 0; i < received; ++i) {
                stats_.bytes += packets[i]->pkt_len;
            }
        } else if (mbufs_were_out_ && mbufs_are_out()) [[unlikely]] {
            ++stats_.no_mbufs;
        }
        return received;
    }
    void housekeep(const RxqLoad& load) {
        stats_ += load;
        mbufs_were_out_ = mbufs_are_out();
        lease_.answer([] { return true; }); // an rxq holds nothing between calls
        published_.publish(stats_);
    }

    // ---- control side ----
    [[nodiscard]] RxqStats stats() const { return published_.read(); }
    [[nodiscard]] int vid() const { return lease_.vid(); }

    // ---- vhost's event thread ----
    void device_ready(int vid) {
        lease_.resume();
        lease_.grant(vid);
    }
    // Waits without a limit until the owner has released the device, because vhost unmaps the guest's memory
    // afterwards. Calls `still_waiting()` once, after 10 s or more.
    template<typename StillWaiting> void device_gone(StillWaiting still_waiting) {
        constexpr unsigned step_us = 50, long_wait_us = 10'000'000;
        lease_.ask_back();
        for (unsigned waited_us = 0; !lease_.is_back(); waited_us += step_us) {
            if (lease_.try_acquire()) {
                lease_.answer([] { return true; });
                lease_.release();
                continue;
            }
            if (waited_us == long_wait_us) {
                still_waiting();
            }
            usleep(step_us);
        }
    }
    void vring_off() { lease_.pause(); }
    void vring_on(int vid) {
        lease_.resume();
        if (lease_.is_back()) {
            lease_.grant(vid);
        }
    }

  private:
    // vhost does not say that a poll brought nothing for want of mbufs. All caches are looked at only when the thread's
    // own is empty.
    [[nodiscard]] bool mbufs_are_out() const {
        const rte_mempool_cache* cache = rte_mempool_default_cache(pool_, rte_lcore_id());
        return (cache == nullptr || cache->len == 0) && rte_mempool_avail_count(pool_) == 0;
    }

    std::uint16_t vring_ = 0;
    rte_mempool* pool_ = nullptr;
    bool mbufs_were_out_ = false; // at the last housekeeping
    RxqStats stats_;
    VringLease lease_;
    Published<RxqStats> published_;
};

} // namespace datapath
