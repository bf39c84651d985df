// SPDX-License-Identifier: BSD-3-Clause
// Whether a DMA device may still be used: its end.
#include "dpdk/dma_use.hpp"

#include <cerrno>

#include <rte_dmadev.h>

namespace dpdk {
namespace {

// A user that let go of the device may be on its way into librte_vhost, which then finds a device that takes nothing.
void refuse_all(rte_dma_fp_object& device) {
    device.copy = [](void*, std::uint16_t, rte_iova_t, rte_iova_t, std::uint32_t, std::uint64_t) { return -ENODEV; };
    device.copy_sg = [](void*, std::uint16_t, const rte_dma_sge*, const rte_dma_sge*, std::uint16_t, std::uint16_t,
                        std::uint64_t) { return -ENODEV; };
    device.fill = [](void*, std::uint16_t, std::uint64_t, rte_iova_t, std::uint32_t, std::uint64_t) { return -ENODEV; };
    device.submit = [](void*, std::uint16_t) { return -ENODEV; };
    device.completed = [](void*, std::uint16_t, std::uint16_t, std::uint16_t*, bool*) { return std::uint16_t{0}; };
    device.completed_status = [](void*, std::uint16_t, std::uint16_t, std::uint16_t*, rte_dma_status_code*) {
        return std::uint16_t{0};
    };
    device.burst_capacity = [](const void*, std::uint16_t) { return std::uint16_t{0}; };
}

} // namespace

bool DmaUse::enter() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    do {
        if ((state & out) != 0) {
            return false;
        }
    } while (!state_.compare_exchange_weak(state, state + user, std::memory_order_acq_rel));
    return true;
}

void DmaUse::stop(std::int16_t dev_id) {
    refuse_all(rte_dma_fp_objs[dev_id]);
    end_.store(rte_dma_stop(dev_id) == 0 ? End::stopped : End::failed, std::memory_order_release);
}

} // namespace dpdk
