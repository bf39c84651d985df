// SPDX-License-Identifier: BSD-3-Clause
// A model laid over a running DMA device.
#include "faults/dma_model.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "dpdk/error.hpp"

namespace faults {
namespace {

constexpr std::size_t max_devices = RTE_DMADEV_DEFAULT_MAX; // as many as librte_vhost takes

static_assert(RTE_DMA_STATUS_SUCCESSFUL == ChannelModel::success);
static_assert(RTE_DMA_STATUS_ERROR_UNKNOWN == ChannelModel::injected_error);

// The model of each device by its number. Written while nobody uses the device.
std::array<DmaModel*, max_devices> models{};

template<std::size_t id> struct Functions {
    static int copy(void* /*device*/, std::uint16_t vchan, rte_iova_t source, rte_iova_t destination,
                    std::uint32_t length, std::uint64_t flags) {
        return models[id]->copy(vchan, source, destination, length, flags);
    }
    static int copy_sg(void* /*device*/, std::uint16_t vchan, const rte_dma_sge* sources,
                       const rte_dma_sge* destinations, std::uint16_t source_count, std::uint16_t destination_count,
                       std::uint64_t flags) {
        return models[id]->copy_sg(vchan, sources, destinations, source_count, destination_count, flags);
    }
    static int fill(void* /*device*/, std::uint16_t vchan, std::uint64_t pattern, rte_iova_t destination,
                    std::uint32_t length, std::uint64_t flags) {
        return models[id]->fill(vchan, pattern, destination, length, flags);
    }
    static int submit(void* /*device*/, std::uint16_t vchan) { return models[id]->submit(vchan); }
    static std::uint16_t completed(void* /*device*/, std::uint16_t vchan, const std::uint16_t limit,
                                   std::uint16_t* last_index, bool* error) {
        return models[id]->completed(vchan, limit, last_index, error);
    }
    static std::uint16_t completed_status(void* /*device*/, std::uint16_t vchan, const std::uint16_t limit,
                                          std::uint16_t* last_index, rte_dma_status_code* statuses) {
        return models[id]->completed_status(vchan, limit, last_index, statuses);
    }
    static std::uint16_t burst_capacity(const void* /*device*/, std::uint16_t vchan) {
        return models[id]->burst_capacity(vchan);
    }

    // What the device does not do, the model does not either.
    static void install(rte_dma_fp_object& object) {
        object.copy = copy;
        object.copy_sg = object.copy_sg != nullptr ? copy_sg : nullptr;
        object.fill = object.fill != nullptr ? fill : nullptr;
        object.submit = submit;
        object.completed = completed;
        object.completed_status = completed_status;
        object.burst_capacity = burst_capacity;
    }
};

template<std::size_t... ids> constexpr auto installers_of(std::index_sequence<ids...> /*numbers*/) {
    return std::array{&Functions<ids>::install...};
}
constexpr auto installers = installers_of(std::make_index_sequence<max_devices>());

std::uint32_t room(const ChannelModel& channel) {
    return channel.room(channel.room_needs_clock() ? rte_rdtsc() : 0);
}

} // namespace

DmaModel::DmaModel(const dpdk::DmaDevice& device, const ModelParameters& parameters)
    : dev_id_(device.dev_id()) {
    if (dev_id_ < 0 || models.at(static_cast<std::size_t>(dev_id_)) != nullptr) {
        throw dpdk::Error(dpdk::ErrorKind::dma, EBUSY,
                          "dma." + device.name() + ": the device is closed, or has a model already");
    }
    for (std::uint16_t i = 0; i < device.channel_count(); ++i) {
        channels_.push_back(std::make_unique<ChannelModel>(device.ring_size(), parameters, rte_get_tsc_hz()));
    }
    device_ = rte_dma_fp_objs[dev_id_];
    models[static_cast<std::size_t>(dev_id_)] = this;
    installers[static_cast<std::size_t>(dev_id_)](rte_dma_fp_objs[dev_id_]);
    installed_ = true;
}

void DmaModel::remove_functions() {
    if (!installed_) {
        return;
    }
    installed_ = false;
    rte_dma_fp_object& object = rte_dma_fp_objs[dev_id_];
    object.copy = device_.copy;
    object.copy_sg = device_.copy_sg;
    object.fill = device_.fill;
    object.submit = device_.submit;
    object.completed = device_.completed;
    object.completed_status = device_.completed_status;
    object.burst_capacity = device_.burst_capacity;
    models[static_cast<std::size_t>(dev_id_)] = nullptr;
}

void DmaModel::set(const ModelParameters& parameters) {
    for (const auto& channel : channels_) {
        channel->set(parameters);
    }
    changes_.fetch_add(1, std::memory_order_relaxed);
}

ModelStats DmaModel::stats() const {
    ModelStats sum;
    for (const auto& channel : channels_) {
        const auto stats = channel->stats();
        sum.stalls += stats.stalls;
        sum.fulls += stats.fulls;
        sum.errors += stats.errors;
        sum.late += stats.late;
    }
    return sum;
}

void DmaModel::restart() {
    for (const auto& channel : channels_) {
        channel->restart();
    }
}

int DmaModel::taken(ChannelModel& channel, int index, std::uint32_t length, bool fails, std::uint64_t flags) {
    if (index < 0) {
        return index;
    }
    channel.accept(static_cast<std::uint16_t>(index), length, fails);
    if (channel.copy_cost() > 0) {
        for (const std::uint64_t until = rte_rdtsc() + channel.copy_cost(); rte_rdtsc() < until;) {
            rte_pause();
        }
    }
    if ((flags & RTE_DMA_OP_FLAG_SUBMIT) != 0) {
        channel.submit(rte_rdtsc());
    }
    return index;
}

// A copy that is to fail is one byte of the source onto itself: it takes its place in the device's ring, and nothing
// arrives anywhere.
int DmaModel::copy(std::uint16_t vchan, rte_iova_t source, rte_iova_t destination, std::uint32_t length,
                   std::uint64_t flags) {
    ChannelModel& channel = *channels_[vchan];
    if (room(channel) == 0) {
        return -ENOSPC;
    }
    const bool fails = channel.next_fails();
    const int index =
        device_.copy(device_.dev_private, vchan, source, fails ? source : destination, fails ? 1 : length, flags);
    return taken(channel, index, length, fails, flags);
}

// Takes its time as any copy does; made to fail are only those of copy().
int DmaModel::copy_sg(std::uint16_t vchan, const rte_dma_sge* sources, const rte_dma_sge* destinations,
                      std::uint16_t source_count, std::uint16_t destination_count, std::uint64_t flags) {
    ChannelModel& channel = *channels_[vchan];
    if (room(channel) == 0) {
        return -ENOSPC;
    }
    std::uint32_t length = 0;
    std::for_each(sources, sources + source_count, [&length](const rte_dma_sge& piece) { length += piece.length; });
    const int index =
        device_.copy_sg(device_.dev_private, vchan, sources, destinations, source_count, destination_count, flags);
    return taken(channel, index, length, false, flags);
}

int DmaModel::fill(std::uint16_t vchan, std::uint64_t pattern, rte_iova_t destination, std::uint32_t length,
                   std::uint64_t flags) {
    ChannelModel& channel = *channels_[vchan];
    if (room(channel) == 0) {
        return -ENOSPC;
    }
    const int index = device_.fill(device_.dev_private, vchan, pattern, destination, length, flags);
    return taken(channel, index, length, false, flags);
}

int DmaModel::submit(std::uint16_t vchan) {
    const int result = device_.submit(device_.dev_private, vchan);
    if (result == 0) {
        channels_[vchan]->submit(rte_rdtsc());
    }
    return result;
}

std::uint16_t DmaModel::completed(std::uint16_t vchan, std::uint16_t limit, std::uint16_t* last_index, bool* error) {
    ChannelModel& channel = *channels_[vchan];
    if (const auto unfinished = channel.unfinished(); unfinished > 0) {
        std::uint16_t device_index = 0;
        bool device_error = false;
        channel.finish(device_.completed(device_.dev_private, vchan, static_cast<std::uint16_t>(unfinished),
                                         &device_index, &device_error));
        channel.set_device_error(device_error);
    }
    const auto released = channel.release(rte_rdtsc(), limit);
    *last_index = released.last_index;
    *error = released.error;
    return released.count;
}

std::uint16_t DmaModel::completed_status(std::uint16_t vchan, std::uint16_t limit, std::uint16_t* last_index,
                                         rte_dma_status_code* statuses) {
    constexpr std::uint32_t burst = 64;
    ChannelModel& channel = *channels_[vchan];
    if (const auto unfinished = std::min(channel.unfinished(), burst); unfinished > 0) {
        std::array<rte_dma_status_code, burst> device_statuses{};
        std::uint16_t device_index = 0;
        const std::uint16_t count = device_.completed_status(
            device_.dev_private, vchan, static_cast<std::uint16_t>(unfinished), &device_index, device_statuses.data());
        for (std::uint16_t i = 0; i < count; ++i) {
            channel.finish_one(static_cast<std::uint16_t>(device_statuses[i]));
        }
        channel.set_device_error(false);
    }
    const auto released = channel.release_with_status(rte_rdtsc(), limit, statuses);
    *last_index = released.last_index;
    return released.count;
}

std::uint16_t DmaModel::burst_capacity(std::uint16_t vchan) const {
    const std::uint32_t capacity = device_.burst_capacity(device_.dev_private, vchan);
    return static_cast<std::uint16_t>(std::min(capacity, room(*channels_[vchan])));
}

} // namespace faults
