// SPDX-License-Identifier: BSD-3-Clause
// What each counter is called wherever it is told: the one list that Python's snapshots and telemetry are made from.
//
// `Record` takes add(name, value), where a value is a number or NamedCounts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "datapath/statistics.hpp"

namespace datapath {

using NamedCount = std::pair<std::string_view, std::uint64_t>;
using NamedCounts = std::span<const NamedCount>;

template<typename Record> void add_fields(Record& record, const defer::DeferralStats& stats) {
    record.add("work_deferred", stats.work_deferred);
    record.add("work_in_progress", stats.work_in_progress);
    record.add("work_ring_full", stats.work_ring_full);
    record.add("work_done", stats.work_done);
    record.add("work_dropped", stats.work_dropped);
}

// But for longest_stall_cycles, which is told as a time, and the recent cycles, which depend on the time.
template<typename Record> void add_fields(Record& record, const PmdStats& stats) {
    record.add("iterations", stats.iterations);
    record.add("busy_iterations", stats.busy_iterations);
    record.add("idle_cycles", stats.idle_cycles);
    record.add("busy_cycles", stats.busy_cycles);
    record.add("wasted_cycles", stats.wasted_cycles);
    record.add("wasted_send_cycles", stats.wasted_send_cycles);
    record.add("sleep_iterations", stats.sleep_iterations);
    record.add("sleep_cycles", stats.sleep_cycles);
    record.add("rx_packets", stats.rx_packets);
    record.add("tx_packets", stats.tx_packets);
    record.add("tx_batches", stats.tx_batches);
    record.add("handed_over", stats.handed_over);
    record.add("flooded", stats.flooded);
    record.add("filtered", stats.filtered);
    record.add("unwired_drops", stats.unwired_drops);
    add_fields(record, stats.deferral);
}

// But for the recent cycles, which depend on the time.
template<typename Record> void add_fields(Record& record, const RxqStats& stats) {
    record.add("packets", stats.packets);
    record.add("bytes", stats.bytes);
    record.add("batches", stats.batches);
    record.add("no_mbufs", stats.no_mbufs);
    record.add("rate_missed", stats.rate_missed);
    record.add("processing_cycles", stats.processing_cycles);
    record.add("deferred_cycles", stats.deferred_cycles);
}

template<typename Record> void add_fields(Record& record, const TxqStats& stats) {
    std::array<NamedCount, drop_reasons> drops;
    for (std::size_t i = 0; i < drop_reasons; ++i) {
        drops[i] = {drop_names[i], stats.drops[i]};
    }
    const std::array<NamedCount, 2> bytes{{{"dma", stats.bytes_dma}, {"cpu", stats.bytes_cpu}}};
    record.add("submitted", stats.submitted);
    record.add("completed", stats.completed);
    record.add("in_flight", stats.in_flight);
    record.add("given_up", stats.given_up);
    record.add("quarantined", stats.quarantined);
    record.add("late_completions", stats.late_completions);
    record.add("wedges", stats.wedges);
    record.add("batches", stats.batches);
    record.add("retries", stats.retries);
    record.add("bytes_by_engine", NamedCounts(bytes));
    record.add("engine_changes", stats.engine_changes);
    record.add("dma_min_bytes", stats.dma_min_bytes);
    record.add("drops", NamedCounts(drops));
    record.add("submit_cycles", stats.submit_cycles);
    record.add("complete_cycles", stats.complete_cycles);
    record.add("wasted_cycles", stats.wasted_cycles);
}

} // namespace datapath
