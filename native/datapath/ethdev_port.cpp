// SPDX-License-Identifier: BSD-3-Clause
// A port on any DPDK ethdev.
#include "datapath/ethdev_port.hpp"

#include <cerrno>
#include <utility>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ring.h>

namespace datapath {
namespace {

std::uint32_t vlan_tag_bytes(const rte_mbuf* packet) {
    const auto* header = rte_pktmbuf_mtod(packet, const rte_ether_hdr*);
    const bool tagged = packet->data_len >= sizeof(*header) && (header->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN) ||
                                                                header->ether_type == RTE_BE16(RTE_ETHER_TYPE_QINQ));
    return tagged ? RTE_VLAN_HLEN : 0;
}

} // namespace

EthdevPort::EthdevPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool)
    : Port(std::move(name))
    , pool_(std::move(pool))
    , device_(this->name(), options.device, *pool_)
    , receiving_(!takes_from_outside())
    , longest_frame_(options.device.mtu + RTE_ETHER_HDR_LEN)
    , rxqs_(options.device.queues)
    , txqs_(options.device.queues)
    , async_(options.async && device_.driver() != "net_null") { // what net_null takes is gone at once
    for (std::uint16_t qid = 0; qid < options.device.queues; ++qid) {
        rxqs_[qid].pacer.set_rate(options.rate_pps / options.device.queues, rte_get_tsc_hz());
        if (async_) {
            txqs_[qid].ring = device_.tx_ring(qid);
            txqs_[qid].ledger = std::make_unique<Ledger>(max_batches);
        }
    }
}

defer::WorkFunc EthdevPort::work_func() const {
    if (!async_) {
        return nullptr;
    }
    return [](void* port, std::uint16_t qid, bool force) {
        auto* self = static_cast<EthdevPort*>(port);
        return self->process_async(self->txqs_[qid], force);
    };
}

std::uint16_t EthdevPort::receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count, std::uint64_t now) {
    Rxq& rxq = rxqs_[qid];
    if (!receiving_.load(std::memory_order_acquire)) {
        rxq.was_on = false;
        return 0;
    }
    const std::uint16_t allowed = [&] {
        if (!rxq.pacer.limited()) {
            return count;
        }
        if (!rxq.was_on) {
            rxq.was_on = true;
            rxq.pacer.restart(now);
        }
        return rxq.pacer.take(now, count);
    }();
    if (allowed == 0) {
        return 0;
    }
    const std::uint16_t received = rte_eth_rx_burst(device_.id(), qid, packets, allowed);
    if (rxq.pacer.limited()) {
        rxq.pacer.give_back(static_cast<std::uint16_t>(allowed - received));
        rxq.stats.rate_missed = rxq.pacer.missed();
    }
    if (received > 0) {
        rxq.stats.packets += received;
        ++rxq.stats.batches;
        for (std::uint16_t i = 0; i < received; ++i) {
            rxq.stats.bytes += packets[i]->pkt_len;
        }
    }
    return received;
}

int EthdevPort::send(std::uint16_t qid, Batch& batch, Sent& sent) {
    Txq& txq = txqs_[qid];
    const std::uint64_t start = txq.owner->perf_metrics ? rte_rdtsc() : txq.owner->now;
    const std::uint64_t bytes = check_lengths(txq, batch); // afterwards they are no longer ours
    std::uint16_t taken = 0;
    if (batch.count > 0 && (!async_ || !txq.ledger->full())) {
        taken = rte_eth_tx_burst(device_.id(), qid, batch.packets, batch.count);
    }
    if (taken < batch.count) {
        sent.bytes -= batch.bytes_from(taken);
        txq.stats.drop(Drop::ring_full, batch.leave_from(taken));
    } else {
        batch.clear();
    }
    sent.packets += taken;
    sent.bytes += bytes;
    txq.stats.submitted += taken;
    txq.stats.batches += taken > 0;
    int result = 0;
    if (async_ && taken > 0) {
        txq.ledger->append(taken, start);
        result = -EINPROGRESS;
    } else {
        txq.stats.completed += taken;
    }
    txq.owner->now = rte_rdtsc();
    txq.owner->count_cycles(txq.stats, &TxqStats::submit_cycles, taken > 0, txq.owner->now - start);
    return result;
}

std::uint64_t EthdevPort::check_lengths(Txq& txq, Batch& batch) const {
    std::uint64_t bytes = 0;
    bool all_fit = true;
    for (std::uint16_t i = 0; i < batch.count; ++i) {
        const std::uint32_t length = batch.packets[i]->pkt_len;
        bytes += length;
        all_fit &= length <= longest_frame_;
    }
    return all_fit ? bytes : drop_too_long(txq, batch);
}

std::uint64_t EthdevPort::drop_too_long(Txq& txq, Batch& batch) const {
    std::uint64_t bytes = 0;
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < batch.count; ++i) {
        rte_mbuf* packet = batch.packets[i];
        if (packet->pkt_len <= longest_frame_ + vlan_tag_bytes(packet)) {
            bytes += packet->pkt_len;
            batch.packets[kept++] = packet;
        } else {
            rte_pktmbuf_free(packet);
            txq.stats.drop(Drop::too_long, 1);
        }
    }
    batch.count = kept;
    return bytes;
}

void EthdevPort::refuse(std::uint16_t qid, Batch& batch) {
    txqs_[qid].stats.drop(Drop::work_ring_full, batch.drop_from(0));
}

// This txq is the ring's only producer, so what is no longer in the ring was taken, oldest first.
std::uint32_t EthdevPort::poll(Txq& txq) {
    const std::uint32_t outstanding = txq.ledger->outstanding();
    const std::uint32_t in_ring = rte_ring_count(txq.ring);
    txq.owner->now = rte_rdtsc();
    if (in_ring >= outstanding) {
        return 0;
    }
    const auto returned = txq.ledger->take_back(outstanding - in_ring, [&txq](std::uint64_t submitted_at) {
        if (txq.owner->perf_metrics) {
            txq.in_flight_times.record(txq.owner->now - submitted_at);
        }
    });
    txq.stats.complete(returned);
    txq.owner->completions += returned.completed;
    return returned.completed;
}

int EthdevPort::process_async(Txq& txq, bool force) {
    if (txq.ledger->unclaimed() == 0) {
        return 0;
    }
    if (!txq.ledger->oldest_done()) {
        const std::uint64_t start = txq.owner->now;
        const std::uint32_t returned = poll(txq);
        txq.owner->count_cycles(txq.stats, &TxqStats::complete_cycles, returned > 0, txq.owner->now - start);
    }
    if (txq.ledger->oldest_done()) {
        txq.ledger->claim_oldest();
        return 0;
    }
    if (!force) {
        return -EINPROGRESS;
    }
    // The mbufs stay in the ring, where the far side may still take them.
    txq.stats.given_up += txq.ledger->give_up_oldest();
    return -ETIMEDOUT;
}

void EthdevPort::release_txq(std::uint16_t qid) {
    housekeep_txq(qid);
    txqs_[qid].owner = &txqs_[qid].control_side;
}

void EthdevPort::housekeep_txq(std::uint16_t qid) {
    Txq& txq = txqs_[qid];
    if (async_) {
        if (txq.ledger->quarantined() > 0) {
            (void)poll(txq);
        }
        txq.stats.in_flight = txq.ledger->in_flight();
        txq.stats.quarantined = txq.ledger->quarantined();
    }
    txq.published.publish(txq.stats);
}

// Nobody will take what still is in the rings: it is given up, received and freed.
bool EthdevPort::drain(unsigned /*timeout_ms*/) {
    for (std::uint16_t qid = 0; qid < txqs_.size() && async_; ++qid) {
        Txq& txq = txqs_[qid];
        (void)poll(txq);
        while (txq.ledger->unclaimed() > 0) {
            if (txq.ledger->oldest_done()) {
                txq.ledger->claim_oldest();
            } else {
                txq.stats.given_up += txq.ledger->give_up_oldest();
            }
        }
        drop_what_is_left(qid);
        (void)txq.ledger->take_back(txq.ledger->outstanding(), [](std::uint64_t) {});
        housekeep_txq(qid);
    }
    if (!async_ && driver() == "net_ring") {
        for (std::uint16_t qid = 0; qid < txqs_.size(); ++qid) {
            drop_what_is_left(qid);
        }
    }
    return true;
}

void EthdevPort::drop_what_is_left(std::uint16_t qid) {
    rte_mbuf* packets[max_batch];
    while (const std::uint16_t count = rte_eth_rx_burst(device_.id(), qid, packets, max_batch)) {
        rte_pktmbuf_free_bulk(packets, count);
    }
}

void EthdevPort::close() {
    device_.close();
}

} // namespace datapath
