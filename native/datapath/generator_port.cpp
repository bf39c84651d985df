// SPDX-License-Identifier: BSD-3-Clause
// A port that makes frames, and swallows what is sent to it.
#include "datapath/generator_port.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <rte_cycles.h>
#include <rte_mbuf.h>

namespace datapath {
namespace {

rte_ether_addr parse_mac(const std::string& text) {
    rte_ether_addr address{};
    if (rte_ether_unformat_addr(text.c_str(), &address) != 0) {
        throw std::invalid_argument("'" + text + "' is no MAC address");
    }
    return address;
}

} // namespace

GeneratorPort::GeneratorPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool)
    : Port(std::move(name))
    , options_(options)
    , pool_(std::move(pool))
    , sources_(options.queues)
    , sinks_(options.sink_queues) {
    if (options_.frame_sizes.empty()) {
        throw std::invalid_argument("generator " + this->name() + " has no frame size");
    }
    const auto source_mac = parse_mac(options_.source_mac);
    const auto destination_mac = parse_mac(options_.destination_mac);
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        Source& source = sources_[qid];
        source.stream = static_cast<std::uint16_t>(options_.first_stream + qid);
        source.pacer.set_rate(options_.rate_pps / options_.queues, rte_get_tsc_hz());
        for (const std::uint16_t size : options_.frame_sizes) {
            if (size < frame::min_bytes || size > pool_->data_room_bytes()) {
                throw std::invalid_argument(
                    "frame size " + std::to_string(size) + " of generator " + this->name() + " is not from " +
                    std::to_string(frame::min_bytes) + " to " + std::to_string(pool_->data_room_bytes()));
            }
            source.headers.push_back(frame::make_header(size, source_mac, destination_mac, source.stream));
        }
    }
}

void GeneratorPort::start_traffic(std::uint64_t packets) {
    const std::uint64_t queues = sources_.size();
    for (std::uint64_t qid = 0; qid < queues; ++qid) {
        Source& source = sources_[qid];
        const std::uint64_t share = packets / queues + (qid < packets % queues ? 1 : 0);
        const std::uint64_t made = source.made.load(std::memory_order_acquire);
        source.last_sequence.store(packets == 0 ? unlimited : made + share, std::memory_order_relaxed);
        // Pairs with receive(): who sees it on sees where to stop.
        source.on.store(true, std::memory_order_release);
    }
}

void GeneratorPort::stop_traffic() {
    for (auto& source : sources_) {
        source.on.store(false, std::memory_order_release);
    }
}

bool GeneratorPort::finished() const {
    return std::all_of(sources_.begin(), sources_.end(), [](const Source& source) {
        return source.made.load(std::memory_order_acquire) >=
               source.last_sequence.load(std::memory_order_relaxed);
    });
}

std::uint16_t GeneratorPort::receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count) {
    Source& source = sources_[qid];
    if (!source.on.load(std::memory_order_acquire)) {
        source.was_on = false;
        return 0;
    }
    const std::uint64_t now = rte_rdtsc();
    const std::uint64_t left = source.last_sequence.load(std::memory_order_relaxed) - source.sequence;
    count = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, left));
    if (source.pacer.limited()) {
        if (!source.was_on) {
            source.pacer.restart(now);
        }
        count = source.pacer.take(now, count);
    }
    source.was_on = true;
    if (count == 0) {
        return 0;
    }
    if (rte_pktmbuf_alloc_bulk(pool_->get(), packets, count) != 0) {
        ++source.stats.no_mbufs;
        source.pacer.give_back(count);
        return 0;
    }
    std::uint64_t bytes = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
        const std::uint16_t size = options_.frame_sizes[source.next_size];
        const frame::Tag tag{.stream = source.stream, .sequence = source.sequence++, .stamp = now};
        frame::write(rte_pktmbuf_mtod(packets[i], std::uint8_t*), size, source.headers[source.next_size], tag,
                     options_.pattern);
        packets[i]->data_len = size;
        packets[i]->pkt_len = size;
        bytes += size;
        if (++source.next_size == options_.frame_sizes.size()) {
            source.next_size = 0;
        }
    }
    source.stats.packets += count;
    source.stats.bytes += bytes;
    ++source.stats.batches;
    source.made.store(source.sequence, std::memory_order_release);
    return count;
}

int GeneratorPort::send(std::uint16_t qid, Batch& batch, std::uint64_t& tx_packets) {
    TxqStats& stats = sinks_[qid].stats;
    rte_pktmbuf_free_bulk(batch.packets, batch.count);
    stats.submitted += batch.count;
    stats.completed += batch.count;
    stats.batches += 1;
    tx_packets += batch.count;
    batch.count = 0;
    return 0;
}

void GeneratorPort::housekeep_rxq(std::uint16_t qid) {
    sources_[qid].published.publish(sources_[qid].stats);
}

} // namespace datapath
