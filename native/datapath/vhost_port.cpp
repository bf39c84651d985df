// SPDX-License-Identifier: BSD-3-Clause
// A vhost-user port: the backend's end of a guest's network device.
#include "datapath/vhost_port.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <unistd.h>

#include <rte_vhost.h>

#include "dpdk/log.hpp"
#include "dpdk/vhost_counters.hpp"

namespace datapath {

using dpdk::log::Level;
using dpdk::log::tell;

namespace {

// Keeps vhost from freeing a device while its counters are read. The fence here pairs with the one in
// wait_for_counter_readers(): the reader counts itself before it loads the vid, and device_gone() clears the vid before
// it loads the count, so at least one of them sees the other.
class CounterReader {
  public:
    explicit CounterReader(std::atomic<int>& readers)
        : readers_(readers) {
        readers_.fetch_add(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    ~CounterReader() { readers_.fetch_sub(1, std::memory_order_release); }
    CounterReader(const CounterReader&) = delete;
    CounterReader& operator=(const CounterReader&) = delete;

  private:
    std::atomic<int>& readers_;
};

void wait_for_counter_readers(const std::atomic<int>& readers) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    while (readers.load(std::memory_order_acquire) > 0) {
        usleep(50);
    }
}

} // namespace

VhostPort::VhostPort(std::string name, const Options& options, std::shared_ptr<dpdk::Mempool> pool)
    : Port(std::move(name))
    , options_(options)
    , pool_(std::move(pool))
    , rxqs_(options.queues)
    , txqs_(options.queues) {
    for (std::uint16_t qid = 0; qid < options.queues; ++qid) {
        rxqs_[qid].configure(qid, pool_->get());
        txqs_[qid].configure(qid, {.port = this->name(),
                                   .dma = options.dma,
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
    socket_ = std::make_unique<dpdk::VhostSocket>(name(),
                                                  dpdk::VhostSocket::Options{.path = options_.socket,
                                                                             .client = options_.client,
                                                                             .async = options_.dma,
                                                                             .counters = options_.vhost_counters},
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
        // One whose owner has no channel, as after frames from Python, copies by CPU whatever is asked.
        if (std::none_of(txqs_.begin(), txqs_.end(), [](const VhostTxq& q) { return q.can_use_dma(); })) {
            throw std::invalid_argument("port " + name() + ": its PMD thread has no DMA device that is in use, copy " +
                                        "cannot be " + name_of_mode);
        }
    }
    for (auto& txq : txqs_) {
        txq.request_mode(mode);
    }
}

CopyMode VhostPort::copy() const {
    const auto chooser = std::find_if(txqs_.begin(), txqs_.end(), [](const VhostTxq& q) { return q.can_use_dma(); });
    return (chooser == txqs_.end() ? txqs_.front() : *chooser).mode();
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
    const CounterReader reader(counter_readers_);
    return dpdk::vring_counters(txqs_.at(qid).vid(), dpdk::guest_rx_vring(qid));
}

VhostPort::Counters VhostPort::rxq_counters(std::uint16_t qid) const {
    const CounterReader reader(counter_readers_);
    return dpdk::vring_counters(rxqs_.at(qid).vid(), dpdk::guest_tx_vring(qid));
}

bool VhostPort::device_ready(int vid) {
    if (vid_ >= 0) {
        return false;
    }
    vid_ = vid;
    const std::vector<bool> vrings_on = [&] {
        const std::lock_guard lock(connections_mutex_);
        Connection& connection = connections_[vid];
        connection.was_guest = true;
        connection.vrings_on.resize(2 * txqs_.size());
        return connection.vrings_on;
    }();
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        if (vrings_on[dpdk::guest_rx_vring(qid)]) {
            txqs_[qid].device_ready(vid);
        }
        if (vrings_on[dpdk::guest_tx_vring(qid)]) {
            rxqs_[qid].device_ready(vid);
        }
    }
    numa_node_.store(rte_vhost_get_numa_node(vid), std::memory_order_relaxed);
    connects_.fetch_add(1, std::memory_order_relaxed);
    tell(Level::info, "port " + name() + ": guest connected");
    return true;
}

void VhostPort::device_gone(int vid) {
    if (vid != vid_) {
        return;
    }
    vid_ = -1;
    for (auto& txq : txqs_) {
        txq.device_gone();
    }
    for (std::size_t qid = 0; qid < rxqs_.size(); ++qid) {
        rxqs_[qid].device_gone([&] {
            tell(Level::warning, "port " + name() + ": rxq " + std::to_string(qid) +
                                     ": the guest left, and the PMD thread has not released it yet; still waiting");
        });
    }
    wait_for_counter_readers(counter_readers_);
    for (auto& txq : txqs_) {
        txq.detach(vid);
    }
    {
        const std::lock_guard lock(connections_mutex_);
        connections_[vid].vrings_on.clear();
        connections_[vid].vrings_started.clear();
        connections_[vid].vrings_paused.clear();
    }
    disconnects_.fetch_add(1, std::memory_order_relaxed);
    tell(Level::info, "port " + name() + ": guest gone");
}

void VhostPort::connection_closed(int vid, bool refused) {
    bool was_guest = false;
    bool second = false;
    {
        const std::lock_guard lock(connections_mutex_);
        const auto ended = connections_.extract(vid); // the next connection may get the same number
        if (!ended.empty()) {
            was_guest = ended.mapped().was_guest;
            second = ended.mapped().turned_away;
        }
    }
    if (was_guest && !refused) {
        return;
    }
    if (failures_.fetch_add(1, std::memory_order_relaxed) == 0) {
        tell(Level::warning, "port " + name() + ": a peer " +
                                 (second    ? "came while a guest is there, and was turned away"
                                  : refused ? "sent a message that was refused"
                                            : "left before it was ready") +
                                 "; from now on such connections are only counted, as guest_failures");
    }
}

void VhostPort::vring_changed(int vid, std::uint16_t vring, bool enabled, dpdk::MemoryEffect effect) {
    const bool is_served = vid == vid_;
    {
        const std::lock_guard lock(connections_mutex_);
        Connection& connection = connections_[vid];
        if (vring >= 2 * txqs_.size()) {
            if (enabled && effect == dpdk::MemoryEffect::none && !std::exchange(connection.has_too_many_queues, true)) {
                tell(Level::warning, "port " + name() + ": the guest uses queue pair " + std::to_string(vring / 2) +
                                         ", but port." + name() + ".queues is " + std::to_string(options_.queues) +
                                         ": nothing is received from its other queues");
            }
            return;
        }
        connection.vrings_on.resize(2 * txqs_.size());
        connection.vrings_started.resize(2 * txqs_.size());
        connection.vrings_paused.resize(2 * txqs_.size());
        if (effect != dpdk::MemoryEffect::replaced) {
            connection.vrings_paused[vring] = false;
        } else if (!enabled) {
            // vhost may report off twice, and on only with the next table.
            connection.vrings_paused[vring] = connection.vrings_paused[vring] || connection.vrings_on[vring];
        } else if (!connection.vrings_paused[vring]) {
            return; // the guest switched this vring off; vhost reports every vring on
        }
        connection.vrings_on[vring] = enabled;
        // A driver that resets the device before it is ready may set the size again.
        connection.vrings_started[vring] = enabled || (is_served && connection.vrings_started[vring]);
    }
    if (!is_served) {
        return;
    }
    const bool memory_stays = effect == dpdk::MemoryEffect::none;
    const auto qid = static_cast<std::uint16_t>(vring / 2);
    if (vring % 2 == 0) {
        enabled ? txqs_[qid].vring_on(vid) : txqs_[qid].vring_off(vid, txqs_, memory_stays);
    } else {
        enabled ? rxqs_[qid].vring_on(vid) : rxqs_[qid].vring_off();
    }
}

std::uint16_t VhostPort::queue_pairs_once(int vid) {
    const std::lock_guard lock(connections_mutex_);
    return std::exchange(connections_[vid].knows_queue_pairs, true) ? 0 : options_.queues;
}

void VhostPort::before_vring_switch(int vid, std::uint16_t vring, bool on) {
    if (!on) {
        const std::lock_guard lock(connections_mutex_);
        if (auto& paused = connections_[vid].vrings_paused; vring < paused.size()) {
            paused[vring] = false;
        }
    }
    if (vid == vid_ && vring % 2 == 0 && vring / 2 < options_.queues) {
        txqs_[vring / 2].finish_before_switch(vid, txqs_, on);
    }
}

bool VhostPort::may_start(int vid) {
    if (vid_ < 0 || vid == vid_) {
        return true;
    }
    const std::lock_guard lock(connections_mutex_);
    connections_[vid].turned_away = true;
    return false;
}

bool VhostPort::vring_started(int vid, std::uint32_t vring) {
    const std::lock_guard lock(connections_mutex_);
    const auto found = connections_.find(vid);
    return found != connections_.end() && vring < found->second.vrings_started.size() &&
           found->second.vrings_started[vring];
}

} // namespace datapath
