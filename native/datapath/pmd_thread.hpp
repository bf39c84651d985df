// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: polls its rxqs, sends what they bring, and does the deferred work of its sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "datapath/statistics.hpp"
#include "defer/deferral.hpp"

namespace datapath {

// What a PMD thread works on. Outputs are the txqs it owns; an rxq's packets leave by one of them.
struct PmdPlan {
    struct Output {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
    };
    struct Input {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
        int output = -1; // index into outputs; -1: the packets are dropped, and counted
    };
    std::vector<Input> inputs;
    std::vector<Output> outputs;
};

class PmdThread {
  public:
    // Throws std::invalid_argument for a plan that points to nothing.
    PmdThread(unsigned core, PmdPlan plan, const defer::DeferralConfig& deferral);
    ~PmdThread();
    PmdThread(const PmdThread&) = delete;
    PmdThread& operator=(const PmdThread&) = delete;

    // ---- control side ----
    // Starts the thread, pinned to its core. Returns when it polls. Throws dpdk::Error.
    void start();
    // Asks it to do all deferred work and end, and waits for that. Harmless when it is not running.
    void stop();
    [[nodiscard]] unsigned core() const { return core_; }
    [[nodiscard]] PmdStats stats() const { return published_.read(); }

  private:
    enum class State : std::uint8_t { idle, starting, running, failed };

    struct Output {
        Port* port;
        std::uint16_t qid;
        defer::WorkFunc work_func; // looked up once
        Batch batch;
    };
    struct Input {
        Port* port;
        std::uint16_t qid;
        Output* output;
    };

    void thread_main();
    void acquire_queues();
    void release_queues();
    void loop();
    [[nodiscard]] std::uint32_t poll(Input& input);
    [[nodiscard]] std::uint32_t poll_unwired(Input& input);
    void flush(Output& output);
    void do_all_work();
    void housekeep();

    unsigned core_;
    PmdPlan plan_;
    std::thread thread_;
    std::atomic<State> state_{State::idle};
    std::atomic<bool> stop_requested_{false};

    // The thread's own.
    alignas(64) std::vector<Input> inputs_;
    std::vector<Output> outputs_;
    defer::Deferral deferral_;
    PmdStats stats_;
    Owner owner_;

    Published<PmdStats> published_;
};

} // namespace datapath
