// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine: puts sends in progress on work rings and comes back to them.
//
// One owner: the PMD thread it belongs to, or the Python thread that made it. Nothing here locks, and nothing on the
// fast path throws or allocates. A work function may defer more work, but it must not do any.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "defer/clock.hpp"
#include "defer/copy_time.hpp"
#include "defer/policies.hpp"
#include "defer/statistics.hpp"
#include "defer/work_item.hpp"
#include "defer/work_ring.hpp"

namespace defer {

class Deferral {
  public:
    // What a stay outside the thread's loop brought.
    struct Stay {
        std::uint32_t left = 0;          // items that left
        std::uint64_t waiting_ticks = 0; // in checks that brought nothing, and between them
    };

    // `clock` outlives the engine. Throws std::invalid_argument for a ring_size that is no power of two.
    Deferral(const DeferralConfig& config, Clock& clock);

    // ---- before the work; these allocate ----
    // A channel whose copy times are learned.
    [[nodiscard]] std::uint16_t add_channel();
    // A txq whose sends can be in progress. `channel`: as add_channel() returned it, or 0 where nothing is paced.
    [[nodiscard]] WorkTarget add_target(WorkFunc work_func, void* port, std::uint16_t qid, std::uint16_t channel = 0);
    // The rxqs that shares name are 0 to `count` - 1.
    void set_rxqs(std::size_t count) { charged_.resize(count); }

    // ---- the work ----
    // Would defer() append without waiting?
    [[nodiscard]] bool has_room(const WorkTarget& target) const { return !target.lane->ring.full(); }
    // A send was refused because there was no room.
    void count_refused() { ++stats_.work_ring_full; }

    // Appends an item for the youngest send of `target`. A full ring is counted once; then, by `on_full`, work is done
    // until there is room, or false is returned. `bytes`: of the send. `shares`: whose packets it has, at most
    // WorkItem::max_shares.
    [[nodiscard]] bool defer(const WorkTarget& target, std::uint32_t bytes = 0, std::span<const RxqShare> shares = {}) {
        Lane& lane = *target.lane;
        if (lane.ring.full()) [[unlikely]] {
            if (!make_room(lane)) {
                return false;
            }
        }
        WorkItem& item = lane.ring.push();
        item.call = target.call;
        if (!shares.empty()) {
            item.call.notes |= static_cast<std::uint16_t>(shares.size());
            std::copy(shares.begin(), shares.end(), lane.ring.shares_of(item));
        }
        if (!target.plain) {
            if (timed_) {
                start_time(item, target, bytes);
            }
            if (per_queue_ && lane.next == nullptr) {
                join(lane);
            }
        }
        ++stats_.work_deferred;
        return true;
    }

    // One check of the oldest item, however young it is; with policy per_queue, of the queue whose turn it is.
    // -ENOENT: there is none. -EINPROGRESS: the item stays. 0: it left, done or dropped.
    [[nodiscard]] int do_work() {
        if (fifo_ == nullptr) {
            return last_lane_ == nullptr ? -ENOENT : check_next_lane();
        }
        return fifo_->empty() ? -ENOENT : check(*fifo_);
    }

    // Checks until nothing is pending. The attempt limit or the deadline forces every item out; after `max_stall_us`
    // all that is left is forced.
    Stay do_all_work();

    // Before a quiesce. Policy fifo: as do_all_work(), but what is left after `max_stall_us` stays. Policy per_queue:
    // every queue is asked, none is waited for.
    Stay quiesce();

    // The main loop's turn: work until the first item that is in progress or not to be asked yet, of each lane; then
    // one iteration has passed. Returns the items that left.
    std::uint32_t do_iteration() {
        std::uint32_t left = 0;
        if (fifo_ != nullptr) {
            left = work_lane(*fifo_, config_.iteration_delay);
        } else if (last_lane_ != nullptr) {
            left = work_lanes(config_.iteration_delay);
        }
        ++iteration_;
        return left;
    }

    [[nodiscard]] std::uint32_t pending() const;
    // Ticks in checks for packets of this rxq.
    [[nodiscard]] std::uint64_t charged_ticks(std::size_t rxq) const { return charged_[rxq]; }
    // The longest wait for work in progress, by defer() or before a quiesce, in ticks.
    [[nodiscard]] std::uint64_t longest_stall_ticks() const { return longest_stall_; }
    [[nodiscard]] const DeferralStats& stats() const { return stats_; }
    [[nodiscard]] const DeferralConfig& config() const { return config_; }

  private:
    class StayTimer;

    [[nodiscard]] int check(WorkRing& ring) {
        WorkItem& item = ring.head();
        if (item.call.notes != 0) {
            return check_with_notes(ring, item);
        }
        if (item.call.work_func(item.call.port, item.call.qid, false) != -EINPROGRESS) {
            ring.pop();
            ++stats_.work_done;
            return 0;
        }
        ++stats_.work_in_progress;
        if (item.call.attempts < config_.attempt_limit) [[likely]] {
            ++item.call.attempts;
            return -EINPROGRESS;
        }
        force(ring);
        return 0;
    }

    // Is it worth a check?
    [[nodiscard]] bool may_ask(WorkItem& item, std::uint32_t iteration_delay) const {
        if ((item.call.notes & note_timed) == 0) {
            return true;
        }
        if (iteration_ - item.deferred_at < iteration_delay) {
            return false;
        }
        if (item.ready_time > clock_.now) {
            item.call.notes |= note_rested;
            return false;
        }
        return true;
    }
    std::uint32_t work_lane(WorkRing& ring, std::uint32_t iteration_delay) {
        std::uint32_t left = 0;
        while (!ring.empty() && may_ask(ring.head(), iteration_delay) && check(ring) == 0) {
            ++left;
        }
        return left;
    }

    // The lanes that have work are a circle, each once. Its last lane is kept, which leads to the first.
    void join(Lane& lane) {
        if (last_lane_ == nullptr) {
            lane.next = &lane;
        } else {
            lane.next = last_lane_->next;
            last_lane_->next = &lane;
        }
        last_lane_ = &lane;
    }
    [[nodiscard]] Lane& first_lane() const { return *last_lane_->next; }
    // The first lane had its turn: it becomes the last, or leaves when it has no more work.
    void end_turn(Lane& first) {
        if (!first.ring.empty()) {
            last_lane_ = &first;
            return;
        }
        if (last_lane_ == &first) {
            last_lane_ = nullptr;
        } else {
            last_lane_->next = first.next;
        }
        first.next = nullptr;
    }
    // A work function that throws leaves its lane where it was.
    [[nodiscard]] int check_next_lane() {
        Lane& lane = first_lane();
        const int result = check(lane.ring);
        end_turn(lane);
        return result;
    }

    std::uint32_t work_lanes(std::uint32_t iteration_delay);
    int check_with_notes(WorkRing& ring, WorkItem& item);
    bool make_room(Lane& lane);
    void force(WorkRing& ring);
    // The ring whose turn it is, with work in it; nullptr: nothing is pending.
    WorkRing* next_ring();
    void ask_or_wait(WorkRing& ring, StayTimer& timer);
    void charge(WorkRing& ring, const WorkItem& item, std::uint64_t ticks);
    void start_time(WorkItem& item, const WorkTarget& target, std::uint32_t bytes);
    void postpone(WorkItem& item);
    void end_time(const WorkItem& item);
    [[nodiscard]] bool overdue(const WorkItem& item) const { return clock_.now - item.deferred_time >= deadline_; }

    DeferralConfig config_;
    Clock& clock_;
    bool per_queue_;
    bool paced_;
    bool timed_; // paced, with a deadline, or with an iteration delay
    std::uint64_t deadline_;
    std::uint64_t max_stall_;
    std::uint64_t longest_gap_;
    std::uint32_t iteration_ = 0;
    std::deque<Lane> lanes_;    // they keep their places when others join
    WorkRing* fifo_ = nullptr;  // of the only lane; nullptr: policy per_queue
    Lane* last_lane_ = nullptr; // nullptr: no lane has work, or policy fifo
    DeferralStats stats_;
    std::vector<CopyTime> channels_;
    std::vector<std::uint64_t> charged_;
    std::uint64_t longest_stall_ = 0;
};

} // namespace defer
