// SPDX-License-Identifier: BSD-3-Clause
// What a PMD thread works on: its rxqs, its txqs, which leads to which, and the deferred work of its sends.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datapath/bridge.hpp"
#include "datapath/capture.hpp"
#include "datapath/poll_order.hpp"
#include "datapath/port.hpp"
#include "datapath/relay_port.hpp"
#include "datapath/statistics.hpp"
#include "defer/deferral.hpp"

namespace datapath {

// Outputs are the txqs that the thread owns, and handoffs to those of others. An rxq's packets leave by one of them, or
// as a bridge says.
struct PmdPlan {
    struct Output {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
        DmaChannels channels;              // to copy with, the one to use first; none: the CPU copies
        int bridge_port = -1;              // which port of the bridge packets leave by here; -1: none
        std::shared_ptr<Capture> captured; // what is sent here is copied to; or nullptr
    };
    struct Input {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
        int output = -1;                   // index into outputs; -1: none
        int bridge_port = -1;              // which port of the bridge these packets come from; -1: none
        std::shared_ptr<Capture> captured; // what comes from here is copied to; or nullptr
    };
    std::vector<Input> inputs; // with neither output nor bridge port: the packets are dropped, and counted
    std::vector<Output> outputs;
    std::shared_ptr<Bridge> bridge; // or nullptr
    std::uint32_t tx_flush_interval_us = 0;
    std::uint32_t sleep_max_us = 0;
    bool perf_metrics = true; // as an Owner has them
};

// A plan made ready for the loop. Keeps the plan's ports.
class PmdWork {
  public:
    struct Output {
        Port* port;
        std::uint16_t qid;
        // Packets are gathered to batches: of one iteration when several rxqs lead here, else of the flush interval.
        bool gathers = false;
        bool can_defer = false;
        Capture* captured;
        defer::WorkTarget target; // with the work function, looked up once
        std::uint64_t due = 0;    // TSC; when a gathered batch goes, if it is not full before
        Batch batch;
        // Whose packets the batch has.
        std::uint16_t share_count = 0;
        std::array<defer::RxqShare, max_batch> shares;

        void add_share(std::uint16_t rxq, std::uint16_t packets) {
            if (share_count > 0 && shares[share_count - 1].rxq == rxq) {
                shares[share_count - 1].packets = static_cast<std::uint16_t>(shares[share_count - 1].packets + packets);
            } else {
                shares[share_count++] = {.rxq = rxq, .packets = packets};
            }
        }
        // What of a batch that leaves here has not been captured.
        void capture_rest(Batch& leaving, std::uint64_t now) const {
            if (captured != nullptr) [[unlikely]] {
                captured->add(leaving.packets + leaving.captured,
                              static_cast<std::uint16_t>(leaving.count - leaving.captured), Direction::tx, qid, now);
                leaving.captured = leaving.count;
            }
        }
        [[nodiscard]] std::span<const defer::RxqShare> batch_shares() const { return {shares.data(), share_count}; }
    };
    struct Input {
        Port* port;
        std::uint16_t qid;
        std::uint16_t number; // of the rxq among the thread's
        Output* output;
        int bridge_port;
        Capture* captured;
        bool from_outside;                // as the port says
        bool is_handoff;                  // another thread received these packets
        RxqLoad load;                     // since the port was told of it
        std::uint64_t charged_cycles = 0; // by the deferral engine, as the port was told
        bool can_rest;                    // as the port says
        std::uint32_t silent_polls = 0;   // in a row
        RelayPort* relay = nullptr;       // with what the control side sends by `relayed_to`; there is no output then
        Output* relayed_to = nullptr;
    };

    // `owner`: the thread's; it outlives the work. Throws std::invalid_argument for a plan that points to nothing.
    PmdWork(const PmdPlan& plan, const defer::DeferralConfig& config, Owner& owner);
    PmdWork(const PmdWork&) = delete;
    PmdWork& operator=(const PmdWork&) = delete;

    std::vector<Input> inputs;
    PollOrder<Input> order; // of the inputs
    std::vector<Output> outputs;
    std::vector<Output*> gathering_outputs;
    std::vector<Output*> bridge_outputs; // by port of the bridge; nullptr where the thread has none
    defer::Deferral deferral;

    [[nodiscard]] Bridge* bridge() const { return plan_.bridge.get(); }
    [[nodiscard]] std::uint64_t flush_interval_cycles() const { return flush_interval_cycles_; }
    [[nodiscard]] bool perf_metrics() const { return plan_.perf_metrics; }
    [[nodiscard]] std::uint64_t sleep_max_ns() const { return 1000ull * plan_.sleep_max_us; }
    // Sends that are to come, or are in progress.
    [[nodiscard]] bool has_pending() const;

    // ---- the thread ----
    void acquire();
    void release();

  private:
    void add_outputs();
    void add_inputs();
    void add_targets();

    PmdPlan plan_;
    Owner& owner_;
    std::uint64_t flush_interval_cycles_;
};

} // namespace datapath
