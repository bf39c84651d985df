// SPDX-License-Identifier: BSD-3-Clause
// What a PMD thread works on: its rxqs, its txqs, which leads to which, and the deferred work of its sends.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datapath/port.hpp"
#include "datapath/statistics.hpp"
#include "defer/deferral.hpp"

namespace datapath {

// Outputs are the txqs that the thread owns; an rxq's packets leave by one of them.
struct PmdPlan {
    struct Output {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
        DmaChannels channels; // to copy with, the one to use first; none: the CPU copies
    };
    struct Input {
        std::shared_ptr<Port> port;
        std::uint16_t qid = 0;
        int output = -1; // index into outputs; -1: the packets are dropped, and counted
    };
    std::vector<Input> inputs;
    std::vector<Output> outputs;
};

// A plan made ready for the loop. Keeps the plan's ports.
class PmdWork {
  public:
    struct Output {
        Port* port;
        std::uint16_t qid;
        bool shared = false; // several rxqs lead here: their packets are gathered to one batch an iteration
        bool can_defer = false;
        defer::WorkTarget target; // with the work function, looked up once
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
        [[nodiscard]] std::span<const defer::RxqShare> batch_shares() const { return {shares.data(), share_count}; }
    };
    struct Input {
        Port* port;
        std::uint16_t qid;
        std::uint16_t number; // of the rxq among the thread's
        Output* output;
        bool from_outside;                // as the port says
        RxqLoad load;                     // since the port was told of it
        std::uint64_t charged_cycles = 0; // by the deferral engine, as the port was told
    };

    // `owner`: the thread's; it outlives the work. Throws std::invalid_argument for a plan that points to nothing.
    PmdWork(const PmdPlan& plan, const defer::DeferralConfig& config, Owner& owner);
    PmdWork(const PmdWork&) = delete;
    PmdWork& operator=(const PmdWork&) = delete;

    std::vector<Input> inputs;
    std::vector<Output> outputs;
    std::vector<Output*> shared_outputs;
    defer::Deferral deferral;

    // ---- the thread ----
    void acquire();
    void release();

  private:
    void add_targets();

    PmdPlan plan_;
    Owner& owner_;
};

} // namespace datapath
