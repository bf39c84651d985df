// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: its life, from start to stop.
#include "datapath/pmd_thread.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "dpdk/error.hpp"

namespace datapath {

PmdThread::PmdThread(unsigned core, const PmdPlan& plan, const defer::DeferralConfig& deferral)
    : core_(core) {
    owner_.read = [](void*) { return rte_rdtsc(); };
    work_ = make_work(plan, deferral);
}

PmdThread::~PmdThread() {
    stop();
}

void PmdThread::start() {
    if (thread_.joinable()) {
        return;
    }
    request_.store(Request::none, std::memory_order_relaxed);
    state_.store(State::starting, std::memory_order_relaxed);
    thread_ = std::thread([this] { thread_main(); });
    while (state_.load(std::memory_order_acquire) == State::starting) {
        usleep(100);
    }
    if (state_.load(std::memory_order_acquire) == State::failed) {
        thread_.join();
        throw dpdk::Error(dpdk::ErrorKind::eal, EINVAL,
                          "the PMD thread of core " + std::to_string(core_) +
                              " could not be pinned or registered with DPDK",
                          "choose cores that this process may use (taskset -p), and fewer than 128 threads");
    }
}

void PmdThread::wind_down() {
    if (thread_.joinable()) {
        request_.store(Request::wind_down, std::memory_order_release);
    }
}

void PmdThread::stop() {
    if (!thread_.joinable()) {
        return;
    }
    request_.store(Request::stop, std::memory_order_release);
    thread_.join();
    state_.store(State::idle, std::memory_order_relaxed);
}

void PmdThread::reload(const PmdPlan& plan, const defer::DeferralConfig& deferral) {
    auto next = make_work(plan, deferral);
    if (!thread_.joinable()) {
        add_up(*work_);
        work_ = std::move(next);
        return;
    }
    next_work_ = std::move(next);
    // Pairs with the thread's acquire in loop(), and its release there with the acquire here: the work is handed over
    // and back whole.
    request_.store(Request::reload, std::memory_order_release);
    while (request_.load(std::memory_order_acquire) == Request::reload) {
        usleep(100);
    }
    next_work_.reset();
}

std::unique_ptr<PmdWork> PmdThread::make_work(const PmdPlan& plan, defer::DeferralConfig deferral) {
    deferral.ticks_per_us = static_cast<double>(rte_get_tsc_hz()) / 1e6;
    return std::make_unique<PmdWork>(plan, deferral, owner_);
}

void PmdThread::thread_main() {
    // Signals are the main thread's.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    prctl(PR_SET_TIMERSLACK, 1UL); // nanoseconds; 50000 by default, which is more than most sleeps here
    char name[16];
    std::snprintf(name, sizeof(name), "pmd-c%u", core_);
    pthread_setname_np(pthread_self(), name);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(core_, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus) != 0 || rte_thread_register() != 0) {
        state_.store(State::failed, std::memory_order_release);
        return;
    }
    start_work();
    state_.store(State::running, std::memory_order_release);
    loop();
    work_->release();
    rte_thread_unregister();
}

void PmdThread::start_work() {
    const auto& config = work_->deferral.config();
    owner_.max_stall = config.max_stall_ticks();
    owner_.perf_metrics = work_->perf_metrics();
    work_->acquire();
}

// What former work counted stays in the thread's counters.
void PmdThread::add_up(const PmdWork& former) {
    stats_.deferral += former.deferral.stats();
    stats_.longest_stall_cycles = std::max(stats_.longest_stall_cycles, former.deferral.longest_stall_ticks());
}

} // namespace datapath
