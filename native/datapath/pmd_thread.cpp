// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: polls its rxqs, sends what they bring, and does the deferred work of its sends.
#include "datapath/pmd_thread.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "dpdk/error.hpp"

namespace datapath {
namespace {

// How often the loop does all deferred work, and what need not be done each time: events, public counters.
constexpr std::uint64_t housekeeping_iterations = 1024;

} // namespace

PmdThread::PmdThread(unsigned core, PmdPlan plan, const defer::DeferralConfig& deferral)
    : core_(core)
    , plan_(std::move(plan))
    , deferral_(deferral) {
    outputs_.reserve(plan_.outputs.size());
    for (const auto& output : plan_.outputs) {
        if (output.port == nullptr || output.qid >= output.port->txq_count()) {
            throw std::invalid_argument("a PMD thread's plan names a txq that is not there");
        }
        outputs_.push_back(
            {.port = output.port.get(), .qid = output.qid, .work_func = output.port->work_func(), .batch = {}});
    }
    for (const auto& input : plan_.inputs) {
        if (input.port == nullptr || input.qid >= input.port->rxq_count() ||
            input.output >= static_cast<int>(outputs_.size())) {
            throw std::invalid_argument("a PMD thread's plan names an rxq or an output that is not there");
        }
        inputs_.push_back({.port = input.port.get(),
                           .qid = input.qid,
                           .output = input.output < 0 ? nullptr : &outputs_[static_cast<std::size_t>(input.output)]});
    }
}

PmdThread::~PmdThread() {
    stop();
}

void PmdThread::start() {
    if (thread_.joinable()) {
        return;
    }
    stop_requested_.store(false, std::memory_order_relaxed);
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

void PmdThread::stop() {
    if (!thread_.joinable()) {
        return;
    }
    stop_requested_.store(true, std::memory_order_release);
    thread_.join();
    state_.store(State::idle, std::memory_order_relaxed);
}

void PmdThread::thread_main() {
    // Signals are the main thread's.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
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
    acquire_queues();
    state_.store(State::running, std::memory_order_release);
    loop();
    release_queues();
    rte_thread_unregister();
}

void PmdThread::acquire_queues() {
    for (auto& input : inputs_) {
        input.port->acquire_rxq(input.qid);
    }
    for (auto& output : outputs_) {
        output.port->acquire_txq(output.qid, owner_);
    }
}

void PmdThread::release_queues() {
    for (auto& input : inputs_) {
        input.port->release_rxq(input.qid);
    }
    for (auto& output : outputs_) {
        output.port->release_txq(output.qid);
    }
}

void PmdThread::loop() {
    owner_.now = rte_rdtsc();
    while (!stop_requested_.load(std::memory_order_relaxed)) {
        const Owner before = owner_;
        std::uint32_t received = 0;
        for (auto& input : inputs_) {
            received += poll(input);
        }
        const std::uint32_t finished = deferral_.do_iteration();
        if (owner_.now == before.now) {
            owner_.now = rte_rdtsc(); // no send and no check has read it
        }
        if (received > 0 || finished > 0 || owner_.completions != before.completions) {
            ++stats_.busy_iterations;
            stats_.busy_cycles += owner_.now - before.now;
        } else {
            stats_.idle_cycles += owner_.now - before.now;
        }
        if (++stats_.iterations % housekeeping_iterations == 0) {
            do_all_work();
            housekeep();
        }
    }
    do_all_work();
    housekeep();
}

// Waiting for an item in progress is idle time, as it is in the loop: a thread with nothing else to do would wait as
// well.
void PmdThread::do_all_work() {
    for (;;) {
        const Owner before = owner_;
        const int result = deferral_.do_work();
        if (result == -ENOENT) {
            return;
        }
        const bool moved = result == 0 || owner_.completions != before.completions;
        (moved ? stats_.busy_cycles : stats_.idle_cycles) += owner_.now - before.now;
    }
}

std::uint32_t PmdThread::poll(Input& input) {
    if (input.output == nullptr) {
        return poll_unwired(input);
    }
    // Packets are received right into the batch, which leaves before the next rxq is polled.
    Batch& batch = input.output->batch;
    batch.count = input.port->receive(input.qid, batch.packets, max_batch, owner_.now);
    const std::uint32_t received = batch.count;
    if (received > 0) {
        stats_.rx_packets += received;
        flush(*input.output);
    }
    return received;
}

std::uint32_t PmdThread::poll_unwired(Input& input) {
    rte_mbuf* packets[max_batch];
    const std::uint16_t count = input.port->receive(input.qid, packets, max_batch, owner_.now);
    rte_pktmbuf_free_bulk(packets, count);
    stats_.rx_packets += count;
    stats_.unwired_drops += count;
    return count;
}

void PmdThread::flush(Output& output) {
    ++stats_.tx_batches;
    if (output.port->send(output.qid, output.batch, stats_.tx_packets) == -EINPROGRESS) {
        deferral_.defer(output.work_func, output.port, output.qid);
    }
}

void PmdThread::housekeep() {
    for (auto& input : inputs_) {
        input.port->housekeep_rxq(input.qid);
    }
    for (auto& output : outputs_) {
        output.port->housekeep_txq(output.qid);
    }
    stats_.deferral = deferral_.stats();
    published_.publish(stats_);
}

} // namespace datapath
