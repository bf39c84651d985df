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

GeneratorPort::GeneratorPort(std::string name, const Options& options, const Shape& shape,
                             std::shared_ptr<dpdk::Mempool> pool)
    : Port(std::move(name))
    , options_(options)
    , pool_(std::move(pool))
    , sources_(options.queues)
    , sinks_(max_sinks) {
    (void)parse_mac(options_.source_mac);
    (void)parse_mac(options_.destination_mac);
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        sources_[qid].stream = static_cast<std::uint16_t>(options_.first_stream + qid);
    }
    set_shape(shape);
}

void GeneratorPort::set_sinks(std::uint16_t count) {
    if (count > max_sinks) {
        throw std::out_of_range("generator " + name() + " has txqs for " + std::to_string(max_sinks) +
                                " PMD threads, not for " + std::to_string(count));
    }
    sink_count_ = std::max(sink_count_, count);
}

void GeneratorPort::set_shape(const Shape& shape) {
    if (shape.frame_sizes.empty()) {
        throw std::invalid_argument("generator " + name() + " has no frame size");
    }
    for (const std::uint16_t size : shape.frame_sizes) {
        if (size < frame::min_bytes || size > pool_->data_room_bytes()) {
            throw std::invalid_argument("frame size " + std::to_string(size) + " of generator " + name() +
                                        " is not from " + std::to_string(frame::min_bytes) + " to " +
                                        std::to_string(pool_->data_room_bytes()));
        }
    }
    if (shape.burst < 1 || shape.burst > shape.batch || shape.batch > max_batch || !(shape.rate_pps >= 0)) {
        throw std::invalid_argument("generator " + name() +
                                    ": burst is 1 to 32, batch no less and at most 32, rate_pps 0 or more");
    }
    shape_ = shape;
}

void GeneratorPort::start_traffic(std::uint64_t packets) {
    const auto source_mac = parse_mac(options_.source_mac);
    const auto destination_mac = parse_mac(options_.destination_mac);
    const std::uint64_t queues = sources_.size();
    for (std::uint64_t qid = 0; qid < queues; ++qid) {
        Source& source = sources_[qid];
        auto traffic = std::make_unique<Traffic>();
        traffic->shape = shape_;
        traffic->shape.rate_pps /= static_cast<double>(queues);
        for (const std::uint16_t size : shape_.frame_sizes) {
            traffic->headers.push_back(frame::make_header(size, source_mac, destination_mac, source.stream));
        }
        const std::uint64_t share = packets / queues + (qid < packets % queues ? 1 : 0);
        traffic->end_sequence = packets == 0 ? UINT64_MAX : source.made.load(std::memory_order_acquire) + share;
        const Traffic* next = traffic.get();
        source.kept.push_back(std::move(traffic));
        // Pairs with adopt(): whatever the owner may still look at is either this or what it said it adopted.
        source.traffic.store(next, std::memory_order_seq_cst);
        const Traffic* in_use = source.adopted.load(std::memory_order_seq_cst);
        std::erase_if(source.kept, [&](const auto& old) { return old.get() != in_use && old.get() != next; });
    }
}

void GeneratorPort::stop_traffic() {
    for (auto& source : sources_) {
        source.traffic.store(nullptr, std::memory_order_release);
    }
}

bool GeneratorPort::finished() const {
    return std::all_of(sources_.begin(), sources_.end(), [](const Source& source) {
        const Traffic* traffic = source.traffic.load(std::memory_order_relaxed);
        return traffic == nullptr || source.made.load(std::memory_order_acquire) >= traffic->end_sequence;
    });
}

void GeneratorPort::adopt(Source& source, std::uint64_t now) {
    const Traffic* traffic = nullptr;
    do {
        traffic = source.traffic.load(std::memory_order_seq_cst);
        source.adopted.store(traffic, std::memory_order_seq_cst);
        // Still offered after we said that we took it: start_traffic() will see that, and keep it.
    } while (traffic != source.traffic.load(std::memory_order_seq_cst));
    source.current = traffic;
    source.next_size = 0;
    if (traffic != nullptr) {
        source.pacer.set_rate(traffic->shape.rate_pps, rte_get_tsc_hz());
        source.pacer.restart(now);
    }
}

// Frames are bytes, and bytes may alias anything: whatever the loop needs is in locals, so that no store makes it load
// again.
std::uint64_t GeneratorPort::make_frames(Source& source, const Traffic& traffic, rte_mbuf** packets,
                                         std::uint16_t count, std::uint64_t now) const {
    const std::uint16_t* sizes = traffic.shape.frame_sizes.data();
    const frame::Header* headers = traffic.headers.data();
    const auto size_count = static_cast<std::uint32_t>(traffic.shape.frame_sizes.size());
    const bool pattern = traffic.shape.pattern;
    frame::Tag tag{.stream = source.stream, .sequence = source.sequence, .stamp = now};
    std::uint32_t next_size = source.next_size;
    std::uint64_t bytes = 0;
    const auto make = [&tag, &bytes, pattern](rte_mbuf* packet, std::uint16_t size, const frame::Header& header) {
        frame::write(rte_pktmbuf_mtod(packet, std::uint8_t*), size, header, tag, pattern);
        packet->data_len = size;
        packet->pkt_len = size;
        bytes += size;
        ++tag.sequence;
    };
    if (size_count == 1) {
        const std::uint16_t size = sizes[0];
        const frame::Header header = headers[0];
        for (std::uint16_t i = 0; i < count; ++i) {
            make(packets[i], size, header);
        }
    } else {
        for (std::uint16_t i = 0; i < count; ++i) {
            make(packets[i], sizes[next_size], headers[next_size]);
            if (++next_size == size_count) {
                next_size = 0;
            }
        }
    }
    source.sequence = tag.sequence;
    source.next_size = next_size;
    return bytes;
}

std::uint16_t GeneratorPort::receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count, std::uint64_t now) {
    Source& source = sources_[qid];
    if (source.traffic.load(std::memory_order_relaxed) != source.current) [[unlikely]] {
        adopt(source, now);
    }
    const Traffic* traffic = source.current;
    if (traffic == nullptr) {
        return 0;
    }
    count = static_cast<std::uint16_t>(
        std::min<std::uint64_t>({count, traffic->shape.batch, traffic->end_sequence - source.sequence}));
    if (source.pacer.limited()) {
        count = source.pacer.take(now, count, std::min(count, traffic->shape.burst));
        source.stats.rate_missed = source.pacer.missed();
    }
    if (count == 0) {
        return 0;
    }
    if (rte_pktmbuf_alloc_bulk(pool_->get(), packets, count) != 0) {
        ++source.stats.no_mbufs;
        if (source.pacer.limited()) {
            source.pacer.give_back(count);
        }
        return 0;
    }
    source.stats.bytes += make_frames(source, *traffic, packets, count, now);
    source.stats.packets += count;
    ++source.stats.batches;
    source.made.store(source.sequence, std::memory_order_release);
    return count;
}

int GeneratorPort::send(std::uint16_t qid, Batch& batch, Sent& sent) {
    TxqStats& stats = sinks_[qid].stats;
    rte_pktmbuf_free_bulk(batch.packets, batch.count);
    stats.submitted += batch.count;
    stats.completed += batch.count;
    stats.batches += 1;
    sent.packets += batch.count;
    batch.clear();
    return 0;
}

void GeneratorPort::refuse(std::uint16_t qid, Batch& batch) {
    sinks_[qid].stats.drop(Drop::work_ring_full, batch.drop_from(0));
}

void GeneratorPort::housekeep_rxq(std::uint16_t qid, const RxqLoad& load) {
    sources_[qid].stats += load;
    sources_[qid].published.publish(sources_[qid].stats);
}

} // namespace datapath
