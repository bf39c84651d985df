// SPDX-License-Identifier: BSD-3-Clause
// A function for DPDK's interrupt thread, brought there by an alarm.
#include "guest/interrupt_thread.hpp"

#include <chrono>
#include <future>

#include <rte_alarm.h>

namespace guest {
namespace {

constexpr std::chrono::seconds patience{5};

struct Task {
    const std::function<void()>& work;
    std::promise<void> done;
};

void run(void* argument) {
    auto* task = static_cast<Task*>(argument);
    task->work();
    task->done.set_value();
}

} // namespace

void in_interrupt_thread(const std::function<void()>& work) {
    Task task{.work = work, .done = {}};
    auto done = task.done.get_future();
    // Alarms run in the order of their times: one that a driver set before is over when this one runs.
    if (rte_eal_alarm_set(1, &run, &task) != 0) {
        work();
        return;
    }
    if (done.wait_for(patience) != std::future_status::ready && rte_eal_alarm_cancel(&run, &task) > 0) {
        work();
        return;
    }
    done.wait();
}

} // namespace guest
