// SPDX-License-Identifier: BSD-3-Clause
// The control side's way to send: frames from Python go to a txq that no PMD thread owns, by a work ring of the control
// side's own, or by a relay to the thread that owns it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "datapath/pmd_work.hpp"
#include "dpdk/mempool.hpp"

namespace datapath {

class Injector {
  public:
    // Throws std::invalid_argument for an output that is not there.
    Injector(PmdPlan::Output output, std::shared_ptr<dpdk::Mempool> pool, defer::DeferralConfig deferral);

    // Sends frames of at least one byte, in order, and returns when what was in progress is done. Returns how many were
    // taken, from the first on: fewer than all when there was no room for the next, or no mbuf, for `timeout_ms`. What
    // can never be sent is taken, dropped, and counted by the txq.
    [[nodiscard]] std::size_t inject(std::span<const std::string_view> frames, unsigned timeout_ms);

  private:
    [[nodiscard]] rte_mbuf* make_packet(std::string_view frame) const;
    [[nodiscard]] std::size_t fill_batch(std::span<const std::string_view> frames);
    void send_batch();
    void wait();

    PmdPlan plan_;
    std::shared_ptr<dpdk::Mempool> pool_;
    Owner owner_;
    std::unique_ptr<PmdWork> work_;
};

} // namespace datapath
