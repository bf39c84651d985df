// SPDX-License-Identifier: BSD-3-Clause
// A model laid over a running DMA device: whoever uses the device finds it as slow, as small and as faulty as
// the model says, and the bytes arrive as the device below moves them.
//
// It takes the place of the device's functions in dmadev's table (rte_dma_fp_objs). No DPDK release from
// 22.11 to 25.11 writes that table on start or stop; drivers fill it when they are probed, cnxk when it is
// configured, and closing the device resets it. The table's dev_private stays the driver's own: drivers read
// it from there on their control path too (idxd, ioat, cnxk, odm), so the functions below tell the device by
// their own number instead, one set of them for each that there can be.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_dmadev.h>

#include "dpdk/dma_device.hpp"
#include "faults/model.hpp"

namespace faults {

class DmaModel final : public dpdk::DmaOverlay {
  public:
    // Swaps the functions one by one: nothing may use the device yet. Throws dpdk::Error.
    DmaModel(const dpdk::DmaDevice& device, const ModelParameters& parameters);
    ~DmaModel() override { remove_functions(); }

    // ---- control side, at any time ----
    // Every channel takes it up when it is next used. No completion is lost or comes twice.
    void set(const ModelParameters& parameters);
    // How often set() was called.
    [[nodiscard]] std::uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }
    // Summed over the channels.
    [[nodiscard]] ModelStats stats() const;

    // ---- control side, nobody uses the device ----
    // The device has its own functions again. What is outstanding is the caller's to forget.
    void remove() override { remove_functions(); }
    void restart() override;

    // ---- the channel's user ----
    // librte_vhost serialises all of these but burst_capacity() for a channel by its dma_lock, in every release
    // from 22.11 to 25.11, so that a vring's owner and vhost's event thread take turns.
    [[nodiscard]] int copy(std::uint16_t vchan, rte_iova_t source, rte_iova_t destination, std::uint32_t length,
                           std::uint64_t flags);
    [[nodiscard]] int copy_sg(std::uint16_t vchan, const rte_dma_sge* sources, const rte_dma_sge* destinations,
                              std::uint16_t source_count, std::uint16_t destination_count, std::uint64_t flags);
    [[nodiscard]] int fill(std::uint16_t vchan, std::uint64_t pattern, rte_iova_t destination, std::uint32_t length,
                           std::uint64_t flags);
    [[nodiscard]] int submit(std::uint16_t vchan);
    [[nodiscard]] std::uint16_t completed(std::uint16_t vchan, std::uint16_t limit, std::uint16_t* last_index,
                                          bool* error);
    [[nodiscard]] std::uint16_t completed_status(std::uint16_t vchan, std::uint16_t limit, std::uint16_t* last_index,
                                                 rte_dma_status_code* statuses);
    [[nodiscard]] std::uint16_t burst_capacity(std::uint16_t vchan) const;

  private:
    void remove_functions();
    // What the device answered to a copy, seen to by the model.
    static int taken(ChannelModel& channel, int index, std::uint32_t length, bool fails, std::uint64_t flags);

    std::int16_t dev_id_;
    bool installed_ = false;
    rte_dma_fp_object device_{}; // as it was found
    std::vector<std::unique_ptr<ChannelModel>> channels_;
    std::atomic<std::uint64_t> changes_{0};
};

} // namespace faults
