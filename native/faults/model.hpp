// SPDX-License-Identifier: BSD-3-Clause
// One channel of a modelled DMA device: when each copy counts as done, what fails, when there is no room.
//
// It moves no bytes and knows no DPDK; time comes in as cycles of one steady clock. Every copy passes four
// counts in submit order: accepted (the device below has it), timed (submitted, so that its time runs),
// finished (the device below has really done it), released (the caller was told). It is released when it is
// finished and its modelled time has come.
//
// A channel is used by one thread at a time; who uses it sees to that. What may be asked at any time says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "faults/handover.hpp"
#include "faults/parameters.hpp"

namespace faults {

// What the model did, in times it did it.
struct ModelStats {
    std::uint64_t stalls = 0; // a hang counts once
    std::uint64_t fulls = 0;  // the ring became full though the device's own had room
    std::uint64_t errors = 0; // copies that were not made
    std::uint64_t late = 0;   // copies that the device below had not finished when their modelled time was over
};

// Calls record.add(name, value) for each.
template<typename Record> void add_fields(Record& record, const ModelStats& stats) {
    record.add("stalls_injected", stats.stalls);
    record.add("fulls_injected", stats.fulls);
    record.add("errors_injected", stats.errors);
    record.add("late_copies", stats.late);
}

class ChannelModel {
  public:
    // What release() found. `last_index`: the device's number of the copy released last, now or before.
    struct Released {
        std::uint16_t count = 0;
        std::uint16_t last_index = 0;
        bool error = false; // the next copy failed: only release_with_status() gets past it
    };
    // As dmadev's codes for success and for an error of no known kind.
    static constexpr std::uint16_t success = 0;
    static constexpr std::uint16_t injected_error = 0x100;

    // `ring_size`: descriptors of the channel, a power of two; one stays free.
    ChannelModel(std::uint32_t ring_size, const ModelParameters& parameters, std::uint64_t clock_hz);

    // ---- control side, at any time ----
    // Taken up with the next submit() or release(): copies are counted anew, and what the former parameters
    // held back is let go as soon as the device has finished it. What failed stays failed.
    void set(const ModelParameters& parameters) { offered_.offer(in_cycles(parameters, clock_hz_, most_)); }
    [[nodiscard]] ModelStats stats() const;

    // ---- any thread that may also call copy ----
    // Copies that can be accepted. It becomes less only by accept(), submit() and release().
    [[nodiscard]] std::uint32_t room(std::uint64_t now) const;
    // Whether room() looks at the time at all.
    [[nodiscard]] bool room_needs_clock() const { return full_until_.load(std::memory_order_relaxed) != 0; }

    // ---- the channel's user ----
    // The next copy is to fail: its bytes must not be moved.
    [[nodiscard]] bool next_fails() const { return until_error_ == 1; }
    // Cycles that each copy takes of the caller's core.
    [[nodiscard]] std::uint64_t copy_cost() const { return model_.copy_cost; }
    // The device took a copy and gave it this number. `fails`: next_fails() said so, and it was heeded.
    void accept(std::uint16_t index, std::uint32_t length, bool fails);
    // Time runs for all that was accepted.
    void submit(std::uint64_t now);
    // Copies that the device has and has not been seen to finish.
    [[nodiscard]] std::uint32_t unfinished() const {
        return static_cast<std::uint32_t>(accepted_.load(std::memory_order_relaxed) - finished_);
    }
    // The device finished its next `count` copies.
    void finish(std::uint32_t count) { finished_ += count; }
    // The device finished its next copy, and says how.
    void finish_one(std::uint16_t status);
    // The device reports that the copy behind those that it finished has failed, or no longer does.
    void set_device_error(bool error) { device_error_ = error; }
    // Hands out at most `limit` copies, and stops before one that failed.
    [[nodiscard]] Released release(std::uint64_t now, std::uint16_t limit);
    // Hands out at most `limit` copies, failed ones too, with the status of each.
    template<typename Status>
    [[nodiscard]] Released release_with_status(std::uint64_t now, std::uint16_t limit, Status* statuses);

    // ---- while nobody uses the channel ----
    // The device was stopped and starts anew: it has forgotten what it had.
    void restart();

  private:
    struct Copy {
        std::uint64_t ready_at = 0;
        std::uint32_t length = 0;
        std::uint16_t index = 0;
        std::uint16_t status = success;
    };

    void take_up_parameters();
    void apply(const ModelCycles& model);
    void time(Copy& copy, std::uint64_t now);
    void count_full(std::uint64_t now);
    void count_late(std::uint64_t now);
    // The end of a lump is when everything before it appears.
    [[nodiscard]] std::uint64_t visible(std::uint64_t now) const {
        return model_.lump == 0 ? now : now - now % model_.lump;
    }
    [[nodiscard]] bool ready(std::uint64_t position, std::uint64_t visible_until) const {
        return position < let_go_ || copies_[position & mask_].ready_at <= visible_until;
    }
    static void add(std::atomic<std::uint64_t>& counter) {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    const std::uint64_t clock_hz_;
    const std::uint32_t most_;
    const std::uint64_t mask_;
    std::vector<Copy> copies_; // position & mask_

    ModelCycles model_;
    Handover<ModelCycles> offered_;

    // The channel's user. Positions run freely.
    std::atomic<std::uint64_t> accepted_{0}; // also read by room(), as the next three
    std::atomic<std::uint64_t> released_{0};
    std::atomic<std::uint64_t> full_until_{0};
    std::atomic<std::uint32_t> limit_{0};
    std::uint64_t timed_ = 0;
    std::uint64_t finished_ = 0;
    std::uint64_t late_ = 0;   // none before this position is still to be found late
    std::uint64_t let_go_ = 0; // released without regard to time before this position
    std::uint16_t last_index_ = UINT16_MAX;
    bool device_error_ = false;

    // Counted with the parameters in use.
    std::uint64_t number_ = 0; // of the copy timed last
    std::uint64_t next_stall_ = ModelCycles::never;
    std::uint64_t next_full_ = ModelCycles::never;
    std::uint64_t until_error_ = ModelCycles::never;
    std::uint64_t busy_until_ = 0; // when the last byte is through
    double part_of_cycle_ = 0;

    // Written by the channel's user, read by the control side.
    std::atomic<std::uint64_t> stalls_{0};
    std::atomic<std::uint64_t> fulls_{0};
    std::atomic<std::uint64_t> errors_{0};
    std::atomic<std::uint64_t> copies_late_{0};
};

template<typename Status>
ChannelModel::Released ChannelModel::release_with_status(std::uint64_t now, std::uint16_t limit, Status* statuses) {
    take_up_parameters();
    const std::uint64_t visible_until = visible(now);
    std::uint64_t position = released_.load(std::memory_order_relaxed);
    Released released;
    while (released.count < limit && position < finished_ && ready(position, visible_until)) {
        const Copy& copy = copies_[position & mask_];
        statuses[released.count++] = static_cast<Status>(copy.status);
        last_index_ = copy.index;
        ++position;
    }
    released.last_index = last_index_;
    released_.store(position, std::memory_order_relaxed);
    count_late(now);
    return released;
}

} // namespace faults
