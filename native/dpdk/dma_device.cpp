// SPDX-License-Identifier: BSD-3-Clause
// A DMA device (DPDK dmadev) made ready for vhost.
#include "dpdk/dma_device.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <rte_dmadev.h>
#include <rte_vhost_async.h>

#include "dpdk/compat.hpp"
#include "dpdk/device.hpp"
#include "dpdk/error.hpp"
#include "dpdk/log.hpp"

namespace dpdk {
namespace {

// librte_vhost keeps its table of DMA devices at this size and does not check the index.
constexpr int vhost_max_dma_devices = RTE_DMADEV_DEFAULT_MAX;

// One a PMD thread, for as many threads as a datapath may come to have.
constexpr std::uint16_t most_channels = 16;

// What a device of this name is called by dmadev: itself, or its first queue ("0000:6a:01.0" ->
// "0000:6a:01.0-q0").
std::int16_t find_dma_device(const std::string& device) {
    const int exact = rte_dma_get_dev_id_by_name(device.c_str());
    const int id = exact >= 0 ? exact : rte_dma_get_dev_id_by_name((device + "-q0").c_str());
    return static_cast<std::int16_t>(id);
}

std::string known_devices() {
    std::string names;
    for (int id = rte_dma_next_dev(0); id >= 0; id = rte_dma_next_dev(static_cast<std::int16_t>(id + 1))) {
        rte_dma_info info{};
        if (rte_dma_info_get(static_cast<std::int16_t>(id), &info) == 0) {
            names += (names.empty() ? "" : ", ") + std::string(info.dev_name);
        }
    }
    return names.empty() ? "none" : names;
}

// A queue of a PCI device is probed by the device's address alone.
std::string probe_spec(const std::string& spec) {
    const auto name = device_name(spec);
    const auto queue = name.rfind("-q");
    return queue == std::string::npos ? spec : name.substr(0, queue) + spec.substr(name.size());
}

} // namespace

DmaDevice::DmaDevice(std::string name, const std::string& spec, std::uint16_t ring_size)
    : name_(std::move(name))
    , device_(device_name(spec))
    , ring_size_(ring_size) {
    open(spec);
    check_capabilities();
    try {
        configure();
    } catch (...) {
        stop();
        throw;
    }
}

DmaDevice::~DmaDevice() {
    stop();
}

void DmaDevice::open(const std::string& spec) {
    dev_id_ = find_dma_device(device_);
    if (dev_id_ < 0) {
        const int result = probe_device(probe_spec(spec));
        dev_id_ = find_dma_device(device_);
        if (dev_id_ < 0) {
            throw Error(ErrorKind::dma, result < 0 ? -result : ENODEV,
                        "dma." + name_ + ".device: no DMA device '" + device_ + "' (there are: " + known_devices() +
                            ")",
                        "name a vdev (dma_skeleton0), a PCI address bound to vfio-pci with eal.pci = true, or an "
                        "enabled idxd work queue whose name starts with dpdk_ (wq0.0)");
        }
    }
    if (dev_id_ >= vhost_max_dma_devices) {
        throw Error(ErrorKind::dma, ERANGE,
                    "dma." + name_ + ": vhost takes DMA devices up to number " +
                        std::to_string(vhost_max_dma_devices - 1) + " only");
    }
    const auto identity = identify_device(device_);
    driver_ = identity.driver;
    is_hardware_ = identity.bus != "vdev" && !identity.bus.empty();
}

void DmaDevice::check_capabilities() {
    rte_dma_info info{};
    if (const int result = rte_dma_info_get(dev_id_, &info); result != 0) {
        throw Error(ErrorKind::dma, -result, "dma." + name_ + ": device '" + device_ + "' tells nothing of itself");
    }
    constexpr std::uint64_t needed = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
    if ((info.dev_capa & needed) != needed) {
        throw Error(ErrorKind::dma, ENOTSUP,
                    "dma." + name_ + ".device: '" + device_ + "' cannot copy from memory to memory",
                    "name another DMA device");
    }
    if (ring_size_ < info.min_desc || ring_size_ > info.max_desc) {
        throw Error(
            ErrorKind::dma, EINVAL,
            "dma." + name_ + ".ring_size: " + std::to_string(ring_size_) + " is not what '" + device_ + "' takes",
            "choose a power of two from " + std::to_string(info.min_desc) + " to " + std::to_string(info.max_desc));
    }
    numa_node_ = info.numa_node;
    channels_.resize(std::min(info.max_vchans, most_channels));
}

void DmaDevice::configure() {
    const auto fail = [this](const char* step, int result) {
        throw Error(ErrorKind::dma, -result,
                    "dma." + name_ + ": " + step + " of '" + device_ + "' failed: " + std::to_string(result));
    };
    const auto conf = dma_conf(static_cast<std::uint16_t>(channels_.size()));
    if (const int result = rte_dma_configure(dev_id_, &conf); result != 0) {
        fail("configuration", result);
    }
    for (std::uint16_t i = 0; i < channels_.size(); ++i) {
        rte_dma_vchan_conf vchan{};
        vchan.direction = RTE_DMA_DIR_MEM_TO_MEM;
        vchan.nb_desc = ring_size_;
        if (const int result = rte_dma_vchan_setup(dev_id_, i, &vchan); result != 0) {
            fail("channel set-up", result);
        }
        channels_[i].dev_id = dev_id_;
        channels_[i].vchan = i;
        channels_[i].use = &use_;
    }
    if (const int result = rte_dma_start(dev_id_); result != 0) {
        fail("start", result);
    }
    started_ = true;
    for (std::uint16_t i = 0; i < channels_.size(); ++i) {
        if (rte_vhost_async_dma_configure(dev_id_, i) != 0) {
            fail("registration with vhost", -EIO);
        }
        ++registered_channels_;
    }
}

void DmaDevice::stop() {
    if (dev_id_ < 0) {
        return;
    }
    last_stats_ = stats();
    while (registered_channels_ > 0) {
        --registered_channels_;
        if (rte_vhost_async_dma_unconfigure(dev_id_, registered_channels_) != 0) {
            log::tell(log::Level::warning,
                      "dma." + name_ + ": vhost did not let go of channel " + std::to_string(registered_channels_));
        }
    }
    if (overlay_ != nullptr) {
        overlay_->remove();
        overlay_.reset();
    }
    if (started_ && !use_.stopped()) {
        rte_dma_stop(dev_id_);
    }
    started_ = false;
    rte_dma_close(dev_id_);
    dev_id_ = -1;
}

DmaStats DmaDevice::stats() const {
    if (dev_id_ < 0) {
        return last_stats_;
    }
    rte_dma_stats stats{};
    if (rte_dma_stats_get(dev_id_, RTE_DMA_ALL_VCHAN, &stats) != 0) {
        return last_stats_;
    }
    return {.submitted = stats.submitted, .completed = stats.completed, .errors = stats.errors};
}

} // namespace dpdk
