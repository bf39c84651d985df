// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine: puts sends in progress on work rings and comes back to them.
//
// One owner: the PMD thread it belongs to, or the Python thread that made it. Nothing here locks, and nothing on the
// fast path throws or allocates. A work function may defer more work, but it must not do any.
#pragma once

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
    bool defer(const WorkTarget& target, std::uint32_t bytes = 0, std::span<const RxqShare> shares = {}) {
        Lane& lane = *target.lane;
        if (lane.ring.full()) [[unlikely]] {
            if (!make_room(lane)) {
                return false;
            }
        }
        WorkItem& item = lane.ring.push();
        item.work_func = target.work_func;
        item.port = target.port;
        item.qid = target.qid;
        item.attempts = 0;
        item.deferred_at = iteration_;
        item.share_count = static_cast<std::uint16_t>(shares.size());
        for (std::size_t i = 0; i < shares.size(); ++i) {
            item.shares[i] = shares[i];
        }
        if (timed_) {
            start_time(item, target, bytes);
        }
        if (per_queue_) {
            list(lane);
        }
        ++stats_.work_deferred;
        return true;
    }

    // One check of the oldest item, however young it is; with policy per_queue, of the queue whose turn it is.
    // -ENOENT: there is none. -EINPROGRESS: the item stays. 0: it left, done or dropped.
    [[nodiscard]] int do_work() {
        if (!per_queue_) {
            WorkRing& ring = lanes_.front().ring;
            return ring.empty() ? -ENOENT : check(ring);
        }
        return do_work_of_next_lane();
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
        if (!per_queue_) {
            left = work_lane(lanes_.front().ring, config_.iteration_delay);
        } else if (listed_count_ > 0) {
            left = work_listed(config_.iteration_delay);
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
        const std::uint64_t before = clock_.now;
        const int result = item.work_func(item.port, item.qid, false);
        if (item.share_count > 0) {
            charge(item, clock_.now - before);
        }
        if (result != -EINPROGRESS) {
            if (timed_) {
                end_time(item);
            }
            ring.pop();
            ++stats_.work_done;
            return 0;
        }
        ++stats_.work_in_progress;
        if (item.attempts < config_.attempt_limit && !(timed_ && overdue(item))) [[likely]] {
            ++item.attempts;
            if (timed_) {
                postpone(item);
            }
            return -EINPROGRESS;
        }
        force(ring);
        return 0;
    }

    [[nodiscard]] bool may_ask(WorkItem& item, std::uint32_t iteration_delay) const {
        if (iteration_ - item.deferred_at < iteration_delay) {
            return false;
        }
        if (paced_ && item.ready_time > clock_.now) {
            item.rested = true;
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
    void list(Lane& lane) {
        if (!lane.listed) {
            lane.listed = true;
            append_to_list(lane);
        }
    }
    void append_to_list(Lane& lane) {
        const std::size_t end = first_listed_ + listed_count_++;
        list_[end < list_.size() ? end : end - list_.size()] = &lane;
    }
    // The first of the list goes to its end, or leaves it when it has no work.
    void rotate_list() {
        Lane& lane = *list_[first_listed_];
        first_listed_ = first_listed_ + 1 < list_.size() ? first_listed_ + 1 : 0;
        --listed_count_;
        if (lane.ring.empty()) {
            lane.listed = false;
        } else {
            append_to_list(lane);
        }
    }

    std::uint32_t work_listed(std::uint32_t iteration_delay);
    int do_work_of_next_lane();
    bool make_room(Lane& lane);
    void force(WorkRing& ring);
    // The ring whose turn it is, with work in it; nullptr: nothing is pending.
    WorkRing* next_ring();
    void ask_or_wait(WorkRing& ring, StayTimer& timer);
    void charge(const WorkItem& item, std::uint64_t ticks);
    void start_time(WorkItem& item, const WorkTarget& target, std::uint32_t bytes);
    void postpone(WorkItem& item);
    void end_time(const WorkItem& item);
    [[nodiscard]] bool overdue(const WorkItem& item) const { return clock_.now - item.deferred_time >= deadline_; }

    DeferralConfig config_;
    Clock& clock_;
    bool per_queue_;
    bool paced_;
    bool timed_; // paced, or with a deadline
    std::uint64_t deadline_;
    std::uint64_t max_stall_;
    std::uint64_t longest_gap_;
    std::uint32_t iteration_ = 0;
    std::deque<Lane> lanes_; // they keep their places when others join
    // The lanes that have work, in turn: a ring buffer with room for all. A lane that lost its last item stays in it
    // until its turn comes.
    std::vector<Lane*> list_;
    std::size_t first_listed_ = 0;
    std::size_t listed_count_ = 0;
    DeferralStats stats_;
    std::vector<CopyTime> channels_;
    std::vector<std::uint64_t> charged_;
    std::uint64_t longest_stall_ = 0;
};

} // namespace defer
