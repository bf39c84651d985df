// SPDX-License-Identifier: BSD-3-Clause
// The control side's way to a txq that a PMD thread owns: it lends that thread a batch, which sends it in its next turn
// and gives back what there was no room for.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "datapath/port.hpp"

namespace datapath {

class RelayPort final : public Port {
  public:
    explicit RelayPort(std::string name)
        : Port(std::move(name)) {}

    // ---- control side ----
    [[nodiscard]] std::uint16_t rxq_count() const override { return 1; }
    [[nodiscard]] std::uint16_t txq_count() const override { return 1; }
    // What is sent is counted by the txq.
    [[nodiscard]] RxqStats rxq_stats(std::uint16_t /*qid*/) const override { return {}; }
    [[nodiscard]] TxqStats txq_stats(std::uint16_t /*qid*/) const override { return {}; }
    [[nodiscard]] bool takes_from_outside() const override { return false; }
    [[nodiscard]] bool drain(unsigned /*timeout_ms*/) override { return true; }
    void close() override {}
    // Waits for the thread's next turn, but not for long. The batch must be one that waits.
    [[nodiscard]] int send(std::uint16_t qid, Batch& batch, Sent& sent) override;
    void refuse(std::uint16_t /*qid*/, Batch& batch) override { (void)batch.drop_from(0); }
    void housekeep_txq(std::uint16_t /*qid*/) override {}

    // ---- the thread that owns the txq ----
    // The batch to send; nullptr: there is none.
    [[nodiscard]] Batch* take() {
        if (lent_.load(std::memory_order_relaxed) == nullptr) [[likely]] {
            return nullptr;
        }
        return lent_.exchange(nullptr, std::memory_order_acquire); // pairs with send()
    }
    // The batch holds what was not sent.
    void give_back() { given_back_.store(true, std::memory_order_release); }
    // It comes by take().
    [[nodiscard]] std::uint16_t receive(std::uint16_t /*qid*/, rte_mbuf** /*packets*/, std::uint16_t /*count*/,
                                        std::uint64_t /*now*/) override {
        return 0;
    }
    void housekeep_rxq(std::uint16_t /*qid*/, const RxqLoad& /*load*/) override {}

  private:
    std::atomic<Batch*> lent_{nullptr};
    std::atomic<bool> given_back_{false};
};

} // namespace datapath
