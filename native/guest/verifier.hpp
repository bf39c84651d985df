// SPDX-License-Identifier: BSD-3-Clause
// Proves the generator's frames: every byte, the order in each stream, and how long they were under way. For
// one thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include <rte_mbuf.h>

#include "datapath/histogram.hpp"
#include "guest/stream_check.hpp"

namespace guest {

class Verifier {
  public:
    // Sums over all streams, and what belongs to none.
    struct Totals {
        std::uint64_t foreign = 0; // not the generator's
        std::uint64_t corrupt =
            0; // its lengths, its IPv4 checksum or its payload are wrong; its number is not looked at
        std::uint64_t lost = 0;
        std::uint64_t reordered = 0;
        std::uint64_t duplicates = 0;
        std::uint64_t missed_before_start = 0;
    };

    Verifier(std::uint64_t tsc_hz, bool from_start);

    // A frame that arrived at `now` (TSC), chained or not.
    void frame(const rte_mbuf* packet, std::uint64_t now);
    // The same for `bytes` contiguous bytes.
    void frame(const std::uint8_t* data, std::uint32_t bytes, std::uint64_t now);
    void expect_new_run();
    // Whether every byte of the payload is proved, as from the start, or only order and latency.
    void check_payload(bool on) { checks_payload_ = on; }
    void clear_latency() { latency_.clear(); }

    [[nodiscard]] Totals totals() const;
    // By stream number.
    [[nodiscard]] std::map<std::uint16_t, StreamCheck::Counters> streams() const;
    [[nodiscard]] const datapath::Histogram& latency() const { return latency_; }

  private:
    static constexpr std::size_t stream_count = 65536;
    // The longest frame that a chain of guest buffers can bring.
    static constexpr std::uint32_t scratch_bytes = 65536 + 64;

    StreamCheck& stream(std::uint16_t number);

    double ns_per_cycle_;
    bool from_start_;
    bool checks_payload_ = true;
    std::uint64_t foreign_ = 0;
    std::uint64_t corrupt_ = 0;
    std::vector<std::unique_ptr<StreamCheck>> streams_; // made when their first frame comes
    std::vector<std::uint16_t> seen_;
    std::vector<std::uint8_t> scratch_;
    datapath::Histogram latency_;
};

} // namespace guest
