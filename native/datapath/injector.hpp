// SPDX-License-Identifier: BSD-3-Clause
// The control side's way to send: frames from Python go to a txq that no PMD thread owns, by a work ring of the control
// side's own, or through a handoff to the thread that owns it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "datapath/handoff_port.hpp"
#include "datapath/pmd_work.hpp"
#include "dpdk/mempool.hpp"

namespace datapath {

class Injector {
  public:
    // Throws std::invalid_argument for an output that is not there.
    Injector(PmdPlan::Output output, std::shared_ptr<dpdk::Mempool> pool, defer::DeferralConfig deferral);

    // Sends frames of at least one byte, in order, and returns when what was in progress is done. Returns how many were
    // taken, from the first on: fewer than all when the far side had no room for the next, or there was no mbuf for it
    // or no room in the handoff within `timeout_ms`.
    [[nodiscard]] std::size_t inject(std::span<const std::string_view> frames, unsigned timeout_ms);

  private:
    [[nodiscard]] rte_mbuf* make_packet(std::string_view frame) const;
    [[nodiscard]] bool fill_batch(std::span<const std::string_view> frames, std::uint64_t deadline);
    [[nodiscard]] std::uint16_t send_batch();

    PmdPlan plan_;
    std::shared_ptr<dpdk::Mempool> pool_;
    const HandoffPort* handoff_; // or nullptr
    Owner owner_;
    std::unique_ptr<PmdWork> work_;
};

} // namespace datapath
