// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: polls its rxqs, sends what they bring, and does the deferred work of its sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "datapath/pmd_work.hpp"
#include "datapath/port.hpp"
#include "datapath/published.hpp"
#include "datapath/statistics.hpp"
#include "defer/deferral.hpp"

namespace datapath {

class PmdThread {
  public:
    // Throws std::invalid_argument for a plan that points to nothing.
    PmdThread(unsigned core, const PmdPlan& plan, const defer::DeferralConfig& deferral);
    ~PmdThread();
    PmdThread(const PmdThread&) = delete;
    PmdThread& operator=(const PmdThread&) = delete;

    // ---- control side ----
    // Starts the thread, pinned to its core. Returns when it polls. Throws dpdk::Error.
    void start();
    // From now on it brings nothing in from outside, but goes on with what is on its way: what other threads send to
    // rxqs of this one, and its own sends in progress. Returns at once. Harmless when it is not running.
    void wind_down();
    // Asks it to do all deferred work and end, and waits for that. Sends of other threads may wait for its rxqs: wind
    // all down before the first stops. Harmless when it is not running.
    void stop();
    // Has it work by another plan and other rules. Returns when all work deferred under the former ones is done or
    // given up, and the thread has let go of every queue and port that the new plan does not name. Throws as the
    // constructor.
    void reload(const PmdPlan& plan, const defer::DeferralConfig& deferral);
    [[nodiscard]] unsigned core() const { return core_; }
    [[nodiscard]] PmdStats stats() const { return published_.read(); }

  private:
    enum class State : std::uint8_t { idle, starting, running, failed };
    enum class Request : std::uint8_t { none, wind_down, reload, stop };

    void thread_main();
    [[nodiscard]] std::unique_ptr<PmdWork> make_work(const PmdPlan& plan, defer::DeferralConfig deferral);
    void start_work();
    void add_up(const PmdWork& former);
    void loop();
    template<bool from_outside> void run_while(Request request);
    // All return the packets that were received.
    [[nodiscard]] std::uint32_t poll(PmdWork::Input& input);
    [[nodiscard]] std::uint32_t poll_bridged(PmdWork::Input& input);
    [[nodiscard]] std::uint32_t poll_unwired(PmdWork::Input& input);
    [[nodiscard]] std::uint32_t relay(PmdWork::Input& input);
    [[nodiscard]] std::uint16_t receive(PmdWork::Input& input, rte_mbuf** packets);
    void append(PmdWork::Input& input, PmdWork::Output& output, rte_mbuf* const* packets, std::uint16_t count);
    [[nodiscard]] int bridge_port_for(const PmdWork::Input& input, const rte_mbuf* packet);
    void flood(PmdWork::Input& input, rte_mbuf* packet);
    // So many packets are about to be the first of a batch that gathers more.
    void begin_gathering(PmdWork::Output& output) { output.due = owner_.now + work_->flush_interval_cycles(); }
    void flush(PmdWork::Output& output);
    [[nodiscard]] bool refuses(const PmdWork::Output& output);
    void flush_due();
    void flush_all();
    void rest(std::uint32_t received_at_most);
    void send(PmdWork::Output& output, Batch& batch, std::span<const defer::RxqShare> shares);
    void charge_send(std::span<const defer::RxqShare> shares, std::uint64_t cycles);
    void count_stay(defer::Deferral::Stay (*work)(defer::Deferral&));
    void finish_work();
    void housekeep();

    unsigned core_;
    std::thread thread_;
    std::atomic<State> state_{State::idle};
    std::atomic<Request> request_{Request::none};

    // The thread's own while it runs; the control side's while it is not running, or waits for its reload.
    alignas(64) Owner owner_;
    std::unique_ptr<PmdWork> work_;
    std::unique_ptr<PmdWork> next_work_;
    PmdStats stats_;                     // but for what the present work's engine counts
    std::uint64_t busy_told_ = 0;        // of its busy cycles, those that its recent ones have
    std::uint64_t sleep_ns_ = 0;         // of the next sleep
    std::uint64_t housekeeping_due_ = 0; // TSC; for a thread that sleeps
    std::uint32_t seconds_ = 0;          // on the bridge's clock, at the last housekeeping

    Published<PmdStats> published_;
};

} // namespace datapath
