// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port: the backend's end of a guest's network device.
#include "datapath/vhost_port.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <rte_vhost.h>

#include "dpdk/log.hpp"
#include "dpdk/vhost_counters.hpp"

namespace datapath {

VhostPort::VhostPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool)
    : Port(std::move(name))
    , options_(options)
    , pool_(std::move(pool))
    , rxqs_(options.queues)
    , txqs_(options.queues)
    , vring_enabled_(2 * static_cast<std::size_t>(options.queues)) {
    for (std::uint16_t qid = 0; qid < options.queues; ++qid) {
        rxqs_[qid].configure(qid, pool_->get());
        txqs_[qid].configure(qid, {.dma = options.dma,
                                   .mode = options.copy,
                                   .dma_min_bytes = options.dma_min_bytes,
                                   .wedge_timeout_ms = options.wedge_timeout_ms,
                                   .tx_retries_max = options.tx_retries_max});
    }
}

VhostPort::~VhostPort() {
    close();
}

void VhostPort::open() {
    socket_ = std::make_unique<dpdk::VhostSocket>(
        name(), dpdk::VhostSocket::Options{.path = options_.socket, .client = options_.client, .async = options_.dma},
        static_cast<dpdk::VhostEvents&>(*this));
}

defer::WorkFunc VhostPort::work_func() const {
    if (!options_.dma) {
        return nullptr;
    }
    return [](void* port, std::uint16_t qid, bool force) {
        return static_cast<VhostPort*>(port)->txqs_[qid].process_async(force);
    };
}

bool VhostPort::drain(unsigned timeout_ms) {
    bool empty = true;
    for (auto& txq : txqs_) {
        empty = txq.drain(timeout_ms) && empty;
    }
    return empty;
}

void VhostPort::close() {
    if (socket_ == nullptr) {
        return;
    }
    socket_->close();
    socket_.reset();
    for (auto& txq : txqs_) {
        txq.abandon();
    }
}

void VhostPort::set_copy(CopyMode mode) {
    if (mode != CopyMode::cpu) {
        const std::string name_of_mode = mode == CopyMode::dma ? "'dma'" : "'auto'";
        if (!options_.dma) {
            throw std::invalid_argument("port " + name() + " has no DMA device: copy cannot be " + name_of_mode);
        }
        if (!std::all_of(txqs_.begin(), txqs_.end(), [](const VhostTxq& q) { return q.can_use_dma(); })) {
            throw std::invalid_argument("port " + name() + ": its PMD thread has no DMA device that is in use, copy " +
                                        "cannot be " + name_of_mode);
        }
    }
    for (auto& txq : txqs_) {
        txq.request_mode(mode);
    }
}

unsigned VhostPort::ready_txqs() const {
    return static_cast<unsigned>(
        std::count_if(txqs_.begin(), txqs_.end(), [](const VhostTxq& q) { return q.has_guest(); }));
}

std::vector<std::uint16_t> VhostPort::usable_txqs() const {
    std::vector<std::uint16_t> qids;
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        if (txqs_[qid].has_guest()) {
            qids.push_back(qid);
        }
    }
    return qids;
}

VhostPort::Counters VhostPort::txq_counters(std::uint16_t qid) const {
    return dpdk::vring_counters(txqs_.at(qid).vid(), dpdk::guest_rx_vring(qid));
}

VhostPort::Counters VhostPort::rxq_counters(std::uint16_t qid) const {
    return dpdk::vring_counters(rxqs_.at(qid).vid(), dpdk::guest_tx_vring(qid));
}

bool VhostPort::device_ready(int vid) {
    if (vid_ >= 0) {
        dpdk::log::add("port " + name() + ": a second guest connected and is not served");
        return false;
    }
    vid_ = vid;
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        if (vring_enabled_[dpdk::guest_rx_vring(qid)]) {
            txqs_[qid].device_ready(vid);
        }
        if (vring_enabled_[dpdk::guest_tx_vring(qid)]) {
            rxqs_[qid].device_ready(vid);
        }
    }
    numa_node_.store(rte_vhost_get_numa_node(vid), std::memory_order_relaxed);
    connects_.fetch_add(1, std::memory_order_relaxed);
    dpdk::log::add("port " + name() + ": guest connected");
    return true;
}

void VhostPort::device_gone(int vid) {
    if (vid != vid_) {
        return;
    }
    vid_ = -1;
    for (auto& txq : txqs_) {
        txq.device_gone(vid);
    }
    for (auto& rxq : rxqs_) {
        rxq.device_gone();
    }
    std::fill(vring_enabled_.begin(), vring_enabled_.end(), false);
    announcing_vid_ = -1;
    disconnects_.fetch_add(1, std::memory_order_relaxed);
    dpdk::log::add("port " + name() + ": guest gone");
}

void VhostPort::vring_changed(int vid, std::uint16_t vring, bool enabled, bool memory_stays) {
    if (vring >= vring_enabled_.size()) {
        return;
    }
    if (vid_ < 0) {
        if (vid != announcing_vid_) {
            std::fill(vring_enabled_.begin(), vring_enabled_.end(), false);
            announcing_vid_ = vid;
        }
        vring_enabled_[vring] = enabled;
        return;
    }
    if (vid != vid_) {
        return;
    }
    vring_enabled_[vring] = enabled;
    const auto qid = static_cast<std::uint16_t>(vring / 2);
    if (vring % 2 == 0) {
        enabled ? txqs_[qid].vring_on(vid) : txqs_[qid].vring_off(vid, txqs_, memory_stays);
    } else {
        enabled ? rxqs_[qid].vring_on(vid) : rxqs_[qid].vring_off();
    }
}

void VhostPort::before_vring_on(int vid, std::uint16_t vring) {
    if (vid == vid_ && vring % 2 == 0 && vring < vring_enabled_.size()) {
        txqs_[vring / 2].finish_before_on(vid, txqs_);
    }
}

} // namespace datapath
