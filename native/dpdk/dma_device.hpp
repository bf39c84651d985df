// SPDX-License-Identifier: BSD-3-Clause
// A DMA device (DPDK dmadev) made ready for vhost: checked, configured, started, and stopped in the right
// order.
//
// Control side only. What a PMD thread needs on its fast path is the DmaChannel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dpdk/dma_use.hpp"

namespace dpdk {

struct DmaStats {
    std::uint64_t submitted = 0;
    std::uint64_t completed = 0;
    std::uint64_t errors = 0;
};

// Calls record.add(name, value) for each.
template<typename Record> void add_fields(Record& record, const DmaStats& stats) {
    record.add("submitted", stats.submitted);
    record.add("completed", stats.completed);
    record.add("errors", stats.errors);
}

// Something laid over the fast path of a running device, which has to be off it before the device stops.
class DmaOverlay {
  public:
    DmaOverlay() = default;
    virtual ~DmaOverlay() = default;
    DmaOverlay(const DmaOverlay&) = delete;
    DmaOverlay& operator=(const DmaOverlay&) = delete;
    // Both while nobody uses the device. For good, and harmless the second time:
    virtual void remove() = 0;
    // The device was stopped and started again, and has forgotten the copies that it had.
    virtual void restart() = 0;
};

class DmaDevice {
  public:
    // `spec`: a vdev with its arguments, a PCI address (a queue of it as ADDRESS-qN), or an idxd work queue
    // (wqD.Q). `ring_size`: descriptors per channel. Throws Error with what is missing.
    DmaDevice(std::string name, const std::string& spec, std::uint16_t ring_size);
    ~DmaDevice();
    DmaDevice(const DmaDevice&) = delete;
    DmaDevice& operator=(const DmaDevice&) = delete;

    // Ends all use; nothing may be in flight. Harmless the second time.
    void stop();

    // Keeps what was laid over the device, and has it removed when the device stops.
    void keep(std::shared_ptr<DmaOverlay> overlay) { overlay_ = std::move(overlay); }

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& device() const { return device_; }
    [[nodiscard]] const std::string& driver() const { return driver_; }
    [[nodiscard]] bool is_hardware() const { return is_hardware_; }
    [[nodiscard]] std::uint16_t ring_size() const { return ring_size_; }
    [[nodiscard]] int numa_node() const { return numa_node_; }
    [[nodiscard]] DmaChannel& channel(std::uint16_t index) { return channels_.at(index); }
    [[nodiscard]] std::uint16_t channel_count() const { return static_cast<std::uint16_t>(channels_.size()); }
    [[nodiscard]] std::int16_t dev_id() const { return dev_id_; }
    // A channel hung, and the device was stopped for it.
    [[nodiscard]] bool out_of_use() const { return !use_.usable(); }
    // Summed over the channels.
    [[nodiscard]] DmaStats stats() const;

  private:
    void open(const std::string& spec);
    void check_capabilities();
    void configure();

    std::string name_;
    std::string device_;
    std::string driver_;
    bool is_hardware_ = false;
    bool started_ = false;
    std::uint16_t ring_size_;
    std::uint16_t registered_channels_ = 0; // with vhost
    int numa_node_ = -1;
    std::int16_t dev_id_ = -1;
    std::vector<DmaChannel> channels_;
    DmaUse use_;
    std::shared_ptr<DmaOverlay> overlay_;
    DmaStats last_stats_;
};

} // namespace dpdk
