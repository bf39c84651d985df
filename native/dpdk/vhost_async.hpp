// SPDX-License-Identifier: BSD-3-Clause
// The contract of asynchronous enqueue into a vring, as librte_vhost implements it.
//
// The vhost port knows only these functions: submit, poll, drain, in flight. DPDK means to remove its own
// in 26.11; another implementation is another class with the same static functions. Everything is for the
// vring's owner, but for what ends in
// `_in_callback`: that is for vhost's vring_state_changed, which holds the vring's lock.
#pragma once

#include <cstdint>

#include <rte_mbuf.h>
#include <rte_vhost_async.h>

#include "dpdk/dma_use.hpp"

namespace dpdk {

struct LibrteVhostAsync {
    static constexpr std::uint16_t max_submit = 32; // more are ignored
    static constexpr std::uint16_t max_poll = 128;  // one poll reaps at most so many DMA copies

    // Hands the first n packets to vhost; n is returned, the rest stays the caller's. 0 can be transient.
    static std::uint16_t submit(int vid, std::uint16_t vring, rte_mbuf** packets, std::uint16_t count,
                                const DmaChannel& channel) {
        return rte_vhost_submit_enqueue_burst(vid, vring, packets, count, channel.dev_id, channel.vchan);
    }

    // Hands back packets whose copies are done, in submit order, and tells the guest. 0 can mean that the
    // vring was busy.
    static std::uint16_t poll(int vid, std::uint16_t vring, rte_mbuf** packets, std::uint16_t count,
                              const DmaChannel& channel) {
        return rte_vhost_poll_enqueue_completed(vid, vring, packets, count, channel.dev_id, channel.vchan);
    }

    // As poll, also for a vring that is switched off.
    static std::uint16_t drain_in_callback(int vid, std::uint16_t vring, rte_mbuf** packets, std::uint16_t count,
                                           const DmaChannel& channel) {
        return rte_vhost_clear_queue_thread_unsafe(vid, vring, packets, count, channel.dev_id, channel.vchan);
    }

    // Packets in flight; -1: not attached.
    static int in_flight_in_callback(int vid, std::uint16_t vring) {
        return rte_vhost_async_get_inflight_thread_unsafe(vid, vring);
    }

    // Before the first submit to a vring, and after the last packet came back.
    static bool attach(int vid, std::uint16_t vring) { return rte_vhost_async_channel_register(vid, vring) == 0; }
    static bool attach_in_callback(int vid, std::uint16_t vring) {
        return rte_vhost_async_channel_register_thread_unsafe(vid, vring) == 0;
    }
    static bool detach(int vid, std::uint16_t vring) { return rte_vhost_async_channel_unregister(vid, vring) == 0; }
    static bool detach_in_callback(int vid, std::uint16_t vring) {
        return rte_vhost_async_channel_unregister_thread_unsafe(vid, vring) == 0;
    }
};

} // namespace dpdk
