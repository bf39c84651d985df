// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine: what is not on every send's way.
#include "defer/deferral.hpp"

#include <algorithm>
#include <stdexcept>

namespace defer {
namespace {

constexpr double shortest_gap_us = 0.1;   // between two checks of an item
constexpr double longest_gap_us = 10'000; // so that a device that comes back is found

std::uint64_t ticks(double us, double ticks_per_us) {
    return static_cast<std::uint64_t>(us * ticks_per_us);
}

} // namespace

// Measures one stay outside the thread's loop, and tells when it has lasted too long.
class Deferral::StayTimer {
  public:
    explicit StayTimer(Deferral& engine)
        : engine_(engine)
        , start_(engine.clock_.refresh())
        , patience_(engine.max_stall_ - std::min(engine.max_stall_, engine.clock_.waited)) {}
    ~StayTimer() {
        const std::uint64_t stay = engine_.clock_.now - start_;
        engine_.clock_.waited += stay;
        engine_.longest_stall_ = std::max(engine_.longest_stall_, stay);
    }
    StayTimer(const StayTimer&) = delete;
    StayTimer& operator=(const StayTimer&) = delete;

    [[nodiscard]] bool too_long() const { return engine_.clock_.now - start_ >= patience_; }
    void waited(std::uint64_t since) { stay_.waiting_ticks += engine_.clock_.now - since; }
    void left(std::uint32_t items) { stay_.left += items; }
    [[nodiscard]] const Stay& stay() const { return stay_; }

  private:
    Deferral& engine_;
    std::uint64_t start_;
    std::uint64_t patience_;
    Stay stay_;
};

Deferral::Deferral(const DeferralConfig& config, Clock& clock)
    : config_(config)
    , clock_(clock)
    , per_queue_(config.policy == Policy::per_queue)
    , paced_(config.paced)
    , timed_(config.paced || config.deadline_us > 0 || config.iteration_delay > 0)
    , deadline_(config.deadline_ticks())
    , max_stall_(config.max_stall_ticks())
    , longest_gap_(ticks(longest_gap_us, config.ticks_per_us)) {
    WorkRing::check_size(config.ring_size);
    if (!per_queue_) {
        lanes_.push_back({.ring = WorkRing(config_.ring_size, config_.first_index)});
        fifo_ = &lanes_.front().ring;
    }
    (void)add_channel();
}

std::uint16_t Deferral::add_channel() {
    channels_.emplace_back(ticks(shortest_gap_us, config_.ticks_per_us));
    return static_cast<std::uint16_t>(channels_.size() - 1);
}

WorkTarget Deferral::add_target(WorkFunc work_func, void* port, std::uint16_t qid, std::uint16_t channel) {
    if (per_queue_) {
        lanes_.push_back({.ring = WorkRing(config_.ring_size, config_.first_index)});
    }
    const std::uint16_t notes = timed_ ? note_timed : std::uint16_t{0};
    return {.call = {.work_func = work_func, .port = port, .qid = qid, .notes = notes},
            .lane = &lanes_.back(),
            .channel = channel,
            .plain = !per_queue_ && !timed_};
}

std::uint32_t Deferral::pending() const {
    std::uint32_t count = 0;
    for (const Lane& lane : lanes_) {
        count += lane.ring.count();
    }
    return count;
}

std::uint32_t Deferral::work_lanes(std::uint32_t iteration_delay) {
    std::uint32_t left = 0;
    const Lane* const last = last_lane_; // those that join meanwhile wait for the next turn
    for (bool more = true; more;) {
        Lane& lane = first_lane();
        more = &lane != last;
        left += work_lane(lane.ring, iteration_delay);
        end_turn(lane);
    }
    return left;
}

int Deferral::check_with_notes(WorkRing& ring, WorkItem& item) {
    const bool timed = (item.call.notes & note_timed) != 0;
    const std::uint64_t before = clock_.now;
    const int result = item.call.work_func(item.call.port, item.call.qid, false);
    charge(ring, item, clock_.now - before);
    if (result != -EINPROGRESS) {
        if (timed) {
            end_time(item);
        }
        ring.pop();
        ++stats_.work_done;
        return 0;
    }
    ++stats_.work_in_progress;
    if (item.call.attempts < config_.attempt_limit && !(timed && overdue(item))) {
        ++item.call.attempts;
        if (timed) {
            postpone(item);
        }
        return -EINPROGRESS;
    }
    force(ring);
    return 0;
}

Deferral::Stay Deferral::do_all_work() {
    StayTimer timer(*this);
    while (WorkRing* ring = next_ring()) {
        if (timer.too_long()) {
            force(*ring);
            timer.left(1);
        } else {
            ask_or_wait(*ring, timer);
        }
    }
    return timer.stay();
}

Deferral::Stay Deferral::quiesce() {
    StayTimer timer(*this);
    if (per_queue_) {
        timer.left(last_lane_ == nullptr ? 0 : work_lanes(0));
        return timer.stay();
    }
    while (!fifo_->empty() && !timer.too_long()) {
        ask_or_wait(*fifo_, timer);
    }
    return timer.stay();
}

WorkRing* Deferral::next_ring() {
    if (!per_queue_) {
        return fifo_->empty() ? nullptr : fifo_;
    }
    if (last_lane_ != nullptr) {
        end_turn(first_lane()); // of the call before
    }
    return last_lane_ == nullptr ? nullptr : &first_lane().ring;
}

bool Deferral::make_room(Lane& lane) {
    ++stats_.work_ring_full;
    if (config_.on_full == OnFull::drop) {
        return false;
    }
    StayTimer timer(*this);
    while (lane.ring.full()) {
        if (timer.too_long()) {
            force(lane.ring);
        } else {
            ask_or_wait(lane.ring, timer);
        }
    }
    return true;
}

// One step of a wait: a check, or, where checks are paced, time that passes until it is worth one.
void Deferral::ask_or_wait(WorkRing& ring, StayTimer& timer) {
    const std::uint64_t since = clock_.now;
    const std::uint64_t completions = clock_.completions;
    if (may_ask(ring.head(), 0) || clock_.read == nullptr) {
        if (check(ring) == 0) {
            timer.left(1);
            return;
        }
    }
    clock_.refresh();
    if (clock_.completions == completions) {
        timer.waited(since);
    }
}

void Deferral::force(WorkRing& ring) {
    WorkItem& item = ring.head();
    const std::uint64_t before = clock_.now;
    const int result = item.call.work_func(item.call.port, item.call.qid, true);
    charge(ring, item, clock_.now - before);
    if (paced_) {
        channels_[item.channel].left(item.bytes);
    }
    ring.pop();
    ++(result == 0 ? stats_.work_done : stats_.work_dropped);
}

// In equal parts per packet; what does not divide goes to the last rxq, so that nothing of it is lost.
void Deferral::charge(WorkRing& ring, const WorkItem& item, std::uint64_t ticks) {
    const std::uint32_t share_count = item.call.notes & share_count_mask;
    if (share_count == 0) {
        return;
    }
    const std::span shares(ring.shares_of(item), share_count);
    if (share_count == 1) [[likely]] {
        charged_[shares.front().rxq] += ticks;
        return;
    }
    std::uint64_t packets = 0;
    for (const RxqShare& share : shares) {
        packets += share.packets;
    }
    std::uint64_t rest = ticks;
    for (const RxqShare& share : shares.first(shares.size() - 1)) {
        const std::uint64_t part = ticks * share.packets / packets;
        charged_[share.rxq] += part;
        rest -= part;
    }
    charged_[shares.back().rxq] += rest;
}

void Deferral::start_time(WorkItem& item, const WorkTarget& target, std::uint32_t bytes) {
    item.deferred_at = iteration_;
    item.deferred_time = clock_.now;
    item.ready_time = 0;
    if (paced_) {
        CopyTime& channel = channels_[target.channel];
        item.channel = target.channel;
        item.bytes = bytes;
        item.size_class = channel.submitted(bytes);
        item.ready_time = clock_.now + std::min(channel.expected(item.size_class), deadline_);
    }
}

void Deferral::postpone(WorkItem& item) {
    if (paced_) {
        const std::uint64_t elapsed = clock_.now - item.deferred_time;
        const std::uint64_t gap = std::min(channels_[item.channel].gap(item.call.attempts, elapsed), longest_gap_);
        item.ready_time = clock_.now + std::min(gap, deadline_ - elapsed);
    }
}

void Deferral::end_time(const WorkItem& item) {
    if (!paced_) {
        return;
    }
    CopyTime& channel = channels_[item.channel];
    channel.left(item.bytes);
    const std::uint64_t elapsed = clock_.now - item.deferred_time;
    if (item.call.attempts > 0) {
        channel.first_check_was_early(item.size_class, elapsed);
    } else if (item.call.notes & note_rested) {
        channel.first_check_was_right(item.size_class);
    }
}

} // namespace defer
