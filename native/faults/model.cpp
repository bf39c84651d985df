// SPDX-License-Identifier: BSD-3-Clause
// One channel of a modelled DMA device.
#include "faults/model.hpp"

#include <algorithm>
#include <stdexcept>

namespace faults {

ChannelModel::ChannelModel(std::uint32_t ring_size, const ModelParameters& parameters, std::uint64_t clock_hz)
    : clock_hz_(clock_hz)
    , most_(ring_size - 1)
    , mask_(ring_size - 1)
    , copies_(ring_size) {
    if (ring_size < 2 || (ring_size & (ring_size - 1)) != 0) {
        throw std::invalid_argument("a channel's ring size is a power of two, at least 2");
    }
    apply(in_cycles(parameters, clock_hz_, most_));
}

ModelStats ChannelModel::stats() const {
    return {.stalls = stalls_.load(std::memory_order_relaxed),
            .fulls = fulls_.load(std::memory_order_relaxed),
            .errors = errors_.load(std::memory_order_relaxed),
            .late = copies_late_.load(std::memory_order_relaxed)};
}

// Parameters that wait to be taken up already lift the limits of those in use: with nothing outstanding only a copy
// brings the submit() that takes them up.
std::uint32_t ChannelModel::room(std::uint64_t now) const {
    const bool changing = offered_.pending();
    if (!changing && now < full_until_.load(std::memory_order_relaxed)) {
        return 0;
    }
    // In this order: what another thread releases meanwhile makes the answer too small, never too large.
    const auto released = released_.load(std::memory_order_relaxed);
    const auto outstanding = accepted_.load(std::memory_order_relaxed) - released;
    const std::uint32_t limit = changing ? most_ : limit_.load(std::memory_order_relaxed);
    return outstanding < limit ? static_cast<std::uint32_t>(limit - outstanding) : 0;
}

void ChannelModel::accept(std::uint16_t index, std::uint32_t length, bool fails) {
    const std::uint64_t position = accepted_.load(std::memory_order_relaxed);
    copies_[position & mask_] = {
        .ready_at = ModelCycles::never, .length = length, .index = index, .status = fails ? injected_error : success};
    accepted_.store(position + 1, std::memory_order_relaxed);
    if (fails) {
        add(errors_);
        until_error_ = model_.error_every;
    } else if (until_error_ > 1 && until_error_ != ModelCycles::never) {
        --until_error_;
    }
}

// A full ring begins here and nowhere else: librte_vhost asks once for the room that a packet's copies need, and a copy
// refused half-way through a packet is one that it cannot take back.
void ChannelModel::submit(std::uint64_t now) {
    take_up_parameters();
    const std::uint64_t accepted = accepted_.load(std::memory_order_relaxed);
    if (timed_ == accepted) {
        return;
    }
    for (; timed_ != accepted; ++timed_) {
        time(copies_[timed_ & mask_], now);
    }
    count_full(now);
}

void ChannelModel::time(Copy& copy, std::uint64_t now) {
    ++number_;
    busy_until_ = std::max(busy_until_, now);
    if (number_ == next_stall_) {
        busy_until_ += model_.stall;
        next_stall_ = model_.stall_again == ModelCycles::never ? ModelCycles::never : number_ + model_.stall_again;
        add(stalls_);
    }
    if (number_ >= model_.hang_at) {
        if (number_ == model_.hang_at) {
            add(stalls_);
        }
        return; // ready_at stays never
    }
    const double transfer = copy.length * model_.per_byte + part_of_cycle_;
    const auto whole = static_cast<std::uint64_t>(transfer);
    part_of_cycle_ = transfer - static_cast<double>(whole);
    busy_until_ += whole;
    copy.ready_at = busy_until_ + model_.latency;
}

void ChannelModel::count_full(std::uint64_t now) {
    if (number_ >= next_full_) {
        full_until_.store(now + model_.full, std::memory_order_relaxed);
        next_full_ = model_.full_again == ModelCycles::never ? ModelCycles::never : number_ + model_.full_again;
        add(fulls_);
    } else if (model_.limit < most_ && room(now) == 0) {
        add(fulls_);
    }
}

void ChannelModel::finish_one(std::uint16_t status) {
    Copy& copy = copies_[finished_ & mask_];
    if (copy.status == success) {
        copy.status = status;
    }
    ++finished_;
}

ChannelModel::Released ChannelModel::release(std::uint64_t now, std::uint16_t limit) {
    take_up_parameters();
    const std::uint64_t visible_until = visible(now);
    std::uint64_t position = released_.load(std::memory_order_relaxed);
    Released released;
    while (released.count < limit && position < finished_ && ready(position, visible_until)) {
        const Copy& copy = copies_[position & mask_];
        if (copy.status != success) {
            released.error = true;
            break;
        }
        last_index_ = copy.index;
        ++released.count;
        ++position;
    }
    released.error |= device_error_ && position == finished_;
    released.last_index = last_index_;
    released_.store(position, std::memory_order_relaxed);
    count_late(now);
    return released;
}

// A model cannot make the device faster than it is, and its figures are worth little where it would have to. Without a
// latency or a bandwidth it promises nothing.
void ChannelModel::count_late(std::uint64_t now) {
    if (model_.latency == 0 && model_.per_byte == 0) {
        return;
    }
    for (late_ = std::max(late_, finished_); late_ < timed_ && copies_[late_ & mask_].ready_at <= now; ++late_) {
        add(copies_late_);
    }
}

void ChannelModel::restart() {
    const std::uint64_t accepted = accepted_.load(std::memory_order_relaxed);
    released_.store(accepted, std::memory_order_relaxed);
    timed_ = finished_ = late_ = let_go_ = accepted;
    last_index_ = UINT16_MAX;
    device_error_ = false;
    apply(model_);
}

void ChannelModel::take_up_parameters() {
    ModelCycles model;
    if (offered_.take(model)) [[unlikely]] {
        apply(model);
    }
}

void ChannelModel::apply(const ModelCycles& model) {
    model_ = model;
    let_go_ = timed_;
    number_ = 0;
    next_stall_ = model.stall_at;
    next_full_ = model.full_at;
    until_error_ = model.error_every;
    busy_until_ = 0;
    part_of_cycle_ = 0;
    full_until_.store(0, std::memory_order_relaxed);
    limit_.store(model.limit, std::memory_order_relaxed);
}

} // namespace faults
