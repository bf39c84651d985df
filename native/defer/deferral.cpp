// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine with the semantics of the Open vSwitch design "Userspace deferral of work" (policy
// "fifo").
#include "defer/deferral.hpp"

#include <cerrno>

namespace defer {

Deferral::Deferral(const DeferralConfig& config)
    : config_(config)
    , ring_(config.ring_size, config.first_index) {
}

void Deferral::defer(WorkFunc work_func, void* port, std::uint16_t qid) {
    if (ring_.full()) {
        ++stats_.work_ring_full;
        while (ring_.full()) {
            (void)do_work();
        }
    }
    ring_.push({.work_func = work_func, .port = port, .qid = qid, .attempts = 0, .deferred_at = iteration_});
    ++stats_.work_deferred;
}

int Deferral::do_work() {
    if (ring_.empty()) {
        return -ENOENT;
    }
    WorkItem& item = ring_.head();
    if (item.work_func(item.port, item.qid, false) != -EINPROGRESS) {
        ring_.pop();
        ++stats_.work_done;
        return 0;
    }
    ++stats_.work_in_progress;
    if (item.attempts < config_.attempt_limit) {
        ++item.attempts;
        return -EINPROGRESS;
    }
    const int forced = item.work_func(item.port, item.qid, true);
    ring_.pop();
    ++(forced == 0 ? stats_.work_done : stats_.work_dropped);
    return 0;
}

std::uint32_t Deferral::do_all_work() {
    std::uint32_t left = 0;
    for (;;) {
        const int result = do_work();
        if (result == -ENOENT) {
            return left;
        }
        left += result == 0;
    }
}

std::uint32_t Deferral::do_iteration() {
    std::uint32_t left = 0;
    while (!ring_.empty() && iteration_ - ring_.head().deferred_at >= config_.iteration_delay && do_work() == 0) {
        ++left;
    }
    ++iteration_;
    return left;
}

} // namespace defer
