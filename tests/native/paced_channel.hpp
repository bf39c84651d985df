// SPDX-License-Identifier: BSD-3-Clause
// A copying device in numbers, and an engine that sends through it: how often it asks, and how late it finds out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>

#include "engine_world.hpp"

namespace native_tests {

struct ChannelFigures {
    double checks_per_send = 0;
    double added = 0; // time until a send was found done, beyond the time it took, as a part of it
};

// One thread, one channel; a tick is a nanosecond. A send is copied after those before it.
class PacedChannel {
  public:
    // `iteration`: of the main loop, in ns.
    explicit PacedChannel(bool paced = true, std::uint64_t iteration = 100)
        : iteration_(iteration)
        , engine_({.attempt_limit = 1'000'000'000, .paced = paced}, world_.clock)
        , queue_(add_queue(engine_)) {
        world_.clock.now = 1'000'000'000;
    }

    // `duration` of a copy of so many bytes; a send of `size()` bytes every `pause()` ns, when fewer than `depth` wait.
    ChannelFigures send(int count, const std::function<double(std::uint32_t)>& duration,
                        const std::function<std::uint32_t()>& size, const std::function<double()>& pause,
                        std::size_t depth = 1) {
        std::deque<Send> sends;
        std::deque<std::uint64_t> deferred_at;
        double taken = 0;
        double added = 0;
        std::size_t checks = 0;
        std::uint64_t next = world_.clock.now;
        while (count > 0 || !sends.empty()) {
            if (count > 0 && sends.size() < depth && world_.clock.now >= next) {
                const std::uint32_t bytes = size();
                busy_until_ = std::max(busy_until_, world_.clock.now) + static_cast<std::uint64_t>(duration(bytes));
                sends.push_back({.world = world_, .done_at = busy_until_});
                deferred_at.push_back(world_.clock.now);
                defer_send(engine_, queue_, sends.back(), bytes);
                next = world_.clock.now + static_cast<std::uint64_t>(pause());
                --count;
            }
            world_.calls.clear();
            for (std::uint32_t left = engine_.do_iteration(); left > 0; --left) {
                const auto needed = static_cast<double>(sends.front().done_at - deferred_at.front());
                taken += needed;
                added += static_cast<double>(world_.clock.now - deferred_at.front()) - needed;
                sends.pop_front();
                deferred_at.pop_front();
                ++done_;
            }
            checks += world_.calls.size();
            world_.clock.now += iteration_;
        }
        ChannelFigures figures{.checks_per_send = static_cast<double>(checks) / static_cast<double>(done_),
                               .added = added / taken};
        done_ = 0;
        return figures;
    }

  private:
    std::uint64_t iteration_;
    World world_;
    defer::Deferral engine_;
    defer::WorkTarget queue_;
    std::uint64_t busy_until_ = 0;
    std::size_t done_ = 0;
};

} // namespace native_tests
