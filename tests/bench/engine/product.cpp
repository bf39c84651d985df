// SPDX-License-Identifier: BSD-3-Clause
// The product's engine with both policies.
#include <memory>
#include <vector>

#include "candidate.h"
#include "defer/deferral.hpp"

namespace {

defer::Clock thread_clock;
std::unique_ptr<defer::Deferral> engine;
std::vector<defer::WorkTarget> targets;
std::uint32_t queues;
std::uint32_t next_queue;

[[gnu::always_inline]] inline void defer_next() {
    (void)engine->defer(targets[next_queue++ & (queues - 1)]);
}

void prepare(defer::Policy policy, const bench_variant* variant) {
    engine = std::make_unique<defer::Deferral>(defer::DeferralConfig{.policy = policy}, thread_clock);
    targets.clear();
    queues = variant->queues;
    for (std::uint32_t qid = 0; qid < variant->queues; ++qid) {
        targets.push_back(engine->add_target(variant->work_func, &bench_port, static_cast<std::uint16_t>(qid)));
    }
    next_queue = 0;
    for (std::uint32_t i = 1; i < variant->depth; ++i) {
        defer_next();
    }
}

void round_trips(std::uint64_t count) {
    while (count-- > 0) {
        defer_next();
        while (engine->do_work() != 0) {
        }
    }
}

} // namespace

const bench_candidate bench_fifo = {[](const bench_variant* variant) { prepare(defer::Policy::fifo, variant); },
                                    round_trips};
const bench_candidate bench_per_queue = {
    [](const bench_variant* variant) { prepare(defer::Policy::per_queue, variant); }, round_trips};
