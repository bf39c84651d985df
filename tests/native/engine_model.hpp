// SPDX-License-Identifier: BSD-3-Clause
// What the deferral engine is to do, as plainly as it can be written: deques for rings, numbers that never run over, a
// search where the engine keeps a flag. The estimates of copy times are CopyTime's own: that has tests of its own.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "defer/deferral.hpp"

namespace native_tests {

class EngineModel {
    struct Item {
        defer::WorkFunc work_func;
        void* port;
        std::uint16_t qid;
        std::uint16_t channel;
        std::uint32_t bytes;
        std::vector<defer::RxqShare> shares;
        std::uint64_t iteration;
        std::uint64_t time;
        std::uint16_t size_class = 0;
        std::uint64_t ready = 0;
        bool rested = false;
        std::uint64_t attempts = 0;
    };
    using Ring = std::deque<Item>;

  public:
    struct Target {
        defer::WorkFunc work_func;
        void* port;
        std::uint16_t qid;
        std::uint16_t channel;
        Ring* ring;
    };

    EngineModel(const defer::DeferralConfig& config, defer::Clock& clock)
        : config_(config)
        , clock_(clock) {
        if (!per_queue()) {
            rings_.emplace_back();
        }
        (void)add_channel();
    }
    std::uint16_t add_channel() {
        channels_.emplace_back(static_cast<std::uint64_t>(config_.ticks_per_us / 10));
        return static_cast<std::uint16_t>(channels_.size() - 1);
    }
    Target add_target(defer::WorkFunc work_func, void* port, std::uint16_t qid, std::uint16_t channel) {
        if (per_queue()) {
            rings_.emplace_back();
        }
        return {work_func, port, qid, channel, &rings_.back()};
    }
    void set_rxqs(std::size_t count) { charged_.resize(count); }

    [[nodiscard]] bool has_room(const Target& target) const { return target.ring->size() < config_.ring_size - 1; }

    bool defer(const Target& target, std::uint32_t bytes, std::span<const defer::RxqShare> shares) {
        if (!has_room(target)) {
            ++stats_.work_ring_full;
            if (config_.on_full == defer::OnFull::drop) {
                return false;
            }
            stay([&] { return !has_room(target); }, [&]() -> Ring& { return *target.ring; }, true);
        }
        Item item{target.work_func, target.port, target.qid, target.channel, bytes, {shares.begin(), shares.end()},
                  iteration_,       clock_.now};
        if (config_.paced) {
            item.size_class = channels_[item.channel].submitted(bytes);
            item.ready = item.time + std::min(channels_[item.channel].expected(item.size_class), deadline());
        }
        target.ring->push_back(item);
        if (std::find(turns_.begin(), turns_.end(), target.ring) == turns_.end()) {
            turns_.push_back(target.ring);
        }
        ++stats_.work_deferred;
        return true;
    }

    int do_work() {
        if (!per_queue()) {
            return rings_[0].empty() ? -ENOENT : check(rings_[0]);
        }
        while (!turns_.empty()) {
            Ring& ring = *turns_.front();
            const int result = ring.empty() ? -ENOENT : check(ring);
            next_turn();
            if (result != -ENOENT) {
                return result;
            }
        }
        return -ENOENT;
    }
    defer::Deferral::Stay do_all_work() {
        const auto next = [&]() -> Ring& {
            if (!per_queue()) {
                return rings_[0];
            }
            do {
                next_turn();
            } while (turns_.front()->empty());
            return *turns_.front();
        };
        const auto result = stay([&] { return pending() > 0; }, next, true);
        turns_.clear(); // each has had its turn and found nothing
        return result;
    }
    defer::Deferral::Stay quiesce() {
        if (!per_queue()) {
            return stay([&] { return pending() > 0; }, [&]() -> Ring& { return rings_[0]; }, false);
        }
        const std::uint64_t start = clock_.refresh();
        const std::uint32_t left = work_in_turn(0);
        count_stay(clock_.now - start);
        return {.left = left};
    }
    std::uint32_t do_iteration() {
        const std::uint32_t left =
            per_queue() ? work_in_turn(config_.iteration_delay) : work(rings_[0], config_.iteration_delay);
        ++iteration_;
        return left;
    }

    [[nodiscard]] std::uint32_t pending() const {
        std::size_t count = 0;
        for (const Ring& ring : rings_) {
            count += ring.size();
        }
        return static_cast<std::uint32_t>(count);
    }
    [[nodiscard]] const defer::DeferralStats& stats() const { return stats_; }
    [[nodiscard]] std::uint64_t charged_ticks(std::size_t rxq) const { return charged_[rxq]; }
    [[nodiscard]] std::uint64_t longest_stall_ticks() const { return longest_stall_; }

  private:
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    [[nodiscard]] bool per_queue() const { return config_.policy == defer::Policy::per_queue; }
    [[nodiscard]] std::uint64_t deadline() const { return limit(config_.deadline_us); }
    [[nodiscard]] std::uint64_t limit(std::uint64_t us) const {
        return us == 0 ? never : static_cast<std::uint64_t>(static_cast<double>(us) * config_.ticks_per_us);
    }
    [[nodiscard]] bool may_ask(Item& item, std::uint64_t delay) const {
        if (iteration_ - item.iteration < delay) {
            return false;
        }
        const bool rests = config_.paced && item.ready > clock_.now;
        item.rested |= rests;
        return !rests;
    }

    void count_stay(std::uint64_t ticks) {
        longest_stall_ = std::max(longest_stall_, ticks);
        clock_.waited += ticks;
    }
    // A wait reads the clock at its start, and after each step that brought nothing. All waits of a turn add up.
    template<typename More, typename Next> defer::Deferral::Stay stay(More more, Next next, bool forces) {
        defer::Deferral::Stay result;
        const std::uint64_t start = clock_.refresh();
        const std::uint64_t bound = limit(config_.max_stall_us);
        const std::uint64_t patience = bound - std::min(bound, clock_.waited);
        const auto too_long = [&] { return clock_.now - start >= patience; };
        while (more() && (forces || !too_long())) {
            Ring& ring = next();
            const std::uint64_t before = clock_.now;
            if (too_long()) {
                force(ring);
                ++result.left;
            } else if ((may_ask(ring.front(), 0) || clock_.read == nullptr) && check(ring) == 0) {
                ++result.left;
            } else {
                clock_.refresh();
                result.waiting_ticks += clock_.now - before;
            }
        }
        count_stay(clock_.now - start);
        return result;
    }

    int check(Ring& ring) {
        if (ask(ring, false) != -EINPROGRESS) {
            const Item item = leave(ring);
            if (config_.paced) {
                defer::CopyTime& channel = channels_[item.channel];
                if (item.attempts > 0) {
                    channel.first_check_was_early(item.size_class, clock_.now - item.time);
                } else if (item.rested) {
                    channel.first_check_was_right(item.size_class);
                }
            }
            ++stats_.work_done;
            return 0;
        }
        ++stats_.work_in_progress;
        Item& item = ring.front();
        const std::uint64_t elapsed = clock_.now - item.time;
        if (item.attempts == config_.attempt_limit || elapsed >= deadline()) {
            force(ring);
            return 0;
        }
        ++item.attempts;
        if (config_.paced) {
            const auto attempts = static_cast<std::uint32_t>(item.attempts);
            const auto longest = static_cast<std::uint64_t>(10'000 * config_.ticks_per_us);
            const std::uint64_t gap = std::min(channels_[item.channel].gap(attempts, elapsed), longest);
            item.ready = clock_.now + std::min(gap, deadline() - elapsed);
        }
        return -EINPROGRESS;
    }
    void force(Ring& ring) {
        const bool done = ask(ring, true) == 0;
        (void)leave(ring);
        ++(done ? stats_.work_done : stats_.work_dropped);
    }
    int ask(Ring& ring, bool force) {
        const Item item = ring.front();
        const std::uint64_t before = clock_.now;
        const int answer = item.work_func(item.port, item.qid, force);
        charge(item, clock_.now - before);
        return answer;
    }
    Item leave(Ring& ring) {
        const Item item = ring.front();
        ring.pop_front();
        if (config_.paced) {
            channels_[item.channel].left(item.bytes);
        }
        return item;
    }
    void charge(const Item& item, std::uint64_t ticks) {
        std::uint64_t packets = 0;
        std::uint64_t given = 0;
        for (const defer::RxqShare& share : item.shares) {
            packets += share.packets;
        }
        for (const defer::RxqShare& share : item.shares) {
            charged_[share.rxq] += ticks * share.packets / packets;
            given += ticks * share.packets / packets;
        }
        if (!item.shares.empty()) {
            charged_[item.shares.back().rxq] += ticks - given;
        }
    }

    std::uint32_t work(Ring& ring, std::uint64_t delay) {
        std::uint32_t left = 0;
        while (!ring.empty() && may_ask(ring.front(), delay) && check(ring) == 0) {
            ++left;
        }
        return left;
    }
    std::uint32_t work_in_turn(std::uint64_t delay) {
        std::uint32_t left = 0;
        for (std::size_t rings = turns_.size(); rings > 0; --rings) {
            left += work(*turns_.front(), delay);
            next_turn();
        }
        return left;
    }
    // A ring without work stays in the list until its turn comes.
    void next_turn() {
        Ring* ring = turns_.front();
        turns_.pop_front();
        if (!ring->empty()) {
            turns_.push_back(ring);
        }
    }

    defer::DeferralConfig config_;
    defer::Clock& clock_;
    std::deque<Ring> rings_;
    std::deque<Ring*> turns_;
    std::vector<defer::CopyTime> channels_;
    std::vector<std::uint64_t> charged_;
    defer::DeferralStats stats_;
    std::uint64_t iteration_ = 0;
    std::uint64_t longest_stall_ = 0;
};

inline void set_port(defer::WorkTarget& target, void* port) {
    target.call.port = port;
}
inline void set_port(EngineModel::Target& target, void* port) {
    target.port = port;
}

} // namespace native_tests
