// SPDX-License-Identifier: BSD-3-Clause
// Proves the generator's frames.
#include "guest/verifier.hpp"

#include "datapath/frame.hpp"

namespace guest {

namespace frame_format = datapath::frame;

Verifier::Verifier(std::uint64_t tsc_hz, bool from_start)
    : ns_per_cycle_(tsc_hz == 0 ? 0 : 1e9 / static_cast<double>(tsc_hz))
    , from_start_(from_start)
    , streams_(stream_count)
    , scratch_(scratch_bytes) {
}

void Verifier::frame(const rte_mbuf* packet, std::uint64_t now) {
    const std::uint32_t bytes = packet->pkt_len;
    const void* data = bytes <= scratch_bytes ? rte_pktmbuf_read(packet, 0, bytes, scratch_.data()) : nullptr;
    if (data == nullptr) {
        // Longer than any frame, or its chain is shorter than it says.
        ++corrupt_;
        return;
    }
    frame(static_cast<const std::uint8_t*>(data), bytes, now);
}

void Verifier::frame(const std::uint8_t* data, std::uint32_t bytes, std::uint64_t now) {
    frame_format::Tag tag;
    if (!frame_format::recognise(data, bytes, tag)) {
        ++foreign_;
        return;
    }
    if (checks_payload_ && !frame_format::intact(data, bytes, tag)) {
        ++corrupt_;
        return;
    }
    stream(tag.stream).frame(tag.sequence);
    // A stamp of another host, or of a recording, is in the future or long ago: the histogram takes neither.
    if (now > tag.stamp) {
        const double ns = static_cast<double>(now - tag.stamp) * ns_per_cycle_;
        if (ns < static_cast<double>(datapath::Histogram::highest_ns)) {
            latency_.record(static_cast<std::uint64_t>(ns));
        }
    }
}

void Verifier::expect_new_run() {
    for (const std::uint16_t number : seen_) {
        streams_[number]->expect_new_run();
    }
}

StreamCheck& Verifier::stream(std::uint16_t number) {
    auto& stream = streams_[number];
    if (stream == nullptr) {
        stream = std::make_unique<StreamCheck>(from_start_);
        seen_.push_back(number);
    }
    return *stream;
}

Verifier::Totals Verifier::totals() const {
    Totals totals{.foreign = foreign_, .corrupt = corrupt_};
    for (const std::uint16_t number : seen_) {
        const auto& counters = streams_[number]->counters();
        totals.lost += counters.lost;
        totals.reordered += counters.reordered;
        totals.duplicates += counters.duplicates;
        totals.missed_before_start += counters.missed_before_start;
    }
    return totals;
}

std::map<std::uint16_t, StreamCheck::Counters> Verifier::streams() const {
    std::map<std::uint16_t, StreamCheck::Counters> result;
    for (const std::uint16_t number : seen_) {
        result.emplace(number, streams_[number]->counters());
    }
    return result;
}

} // namespace guest
