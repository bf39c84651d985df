// SPDX-License-Identifier: BSD-3-Clause
// What the tests of the engine stand on: a clock that they move, sends that answer as told, and a log of the calls.
#pragma once

#include <cerrno>
#include <cstdint>
#include <limits>
#include <vector>

#include "defer/deferral.hpp"

namespace native_tests {

constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

struct Call {
    int send;
    std::uint16_t qid;
    bool force;
    std::uint64_t time;
    bool operator==(const Call&) const = default;
};

struct World {
    defer::Clock clock;
    std::vector<Call> calls;
    std::uint64_t step = 0; // by which a reading moves the clock on

    // For engines that may wait: each reading of the clock takes `ticks`.
    void let_time_pass(std::uint64_t ticks) {
        step = ticks;
        clock.context = this;
        clock.read = [](void* context) {
            World& world = *static_cast<World*>(context);
            return world.clock.now + world.step;
        };
    }
    [[nodiscard]] std::vector<int> sends_asked() const {
        std::vector<int> names;
        for (const Call& call : calls) {
            names.push_back(call.send);
        }
        return names;
    }
};

// "In progress" for so many checks and until `done_at`, then `answer`.
struct Send {
    World& world;
    int name = 0;
    std::uint64_t in_progress = 0;
    std::uint64_t done_at = 0;
    int answer = 0;
    int forced = -ECANCELED;
    std::uint64_t takes = 0;  // ticks of a check
    std::uint64_t brings = 0; // so many checks bring something back though it stays in progress

    static int check(void* port, std::uint16_t qid, bool force) {
        Send& send = *static_cast<Send*>(port);
        defer::Clock& clock = send.world.clock;
        send.world.calls.push_back({send.name, qid, force, clock.now});
        const bool done = send.in_progress == 0 && clock.now >= send.done_at;
        send.in_progress -= send.in_progress > 0 ? 1 : 0;
        clock.now += send.takes;
        if (send.brings > 0) {
            --send.brings;
            ++clock.completions;
        }
        if (force) {
            return send.forced;
        }
        return done ? send.answer : -EINPROGRESS;
    }
};

// The target of a queue, for one send of it.
inline defer::WorkTarget for_send(defer::WorkTarget target, Send& send) {
    target.call.port = &send;
    return target;
}

inline bool defer_send(defer::Deferral& engine, const defer::WorkTarget& queue, Send& send, std::uint32_t bytes = 0) {
    return engine.defer(for_send(queue, send), bytes);
}

inline defer::WorkTarget add_queue(defer::Deferral& engine, std::uint16_t qid = 0, std::uint16_t channel = 0) {
    return engine.add_target(&Send::check, nullptr, qid, channel);
}

// One tick is a nanosecond.
inline defer::DeferralConfig with_policy(defer::Policy policy) {
    return {.policy = policy};
}

} // namespace native_tests
