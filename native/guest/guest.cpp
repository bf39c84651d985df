// SPDX-License-Identifier: BSD-3-Clause
// The guest's loop.
#include "guest/guest.hpp"

#include <algorithm>
#include <thread>

#include <sched.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_prefetch.h>

#include "dpdk/error.hpp"

namespace guest {
namespace {

constexpr std::uint16_t burst = 32;
// So many rounds without a packet before others may have the core: a DMA thread on it has copies to make
// meanwhile.
constexpr unsigned patient_rounds = 64;
constexpr unsigned mbufs_at_hand = 1023; // caches and bursts
// What one slot of a tx ring can hold, as a chain, until the driver looks at it again.
constexpr unsigned longest_echo_bytes = 16384;

std::unique_ptr<dpdk::Mempool> make_pool(const Guest::Options& options) {
    // The driver refills a ring at once or not at all: there must always be mbufs for all of it.
    unsigned per_queue = options.device.ring_size;
    if (options.role == Role::echo) {
        per_queue += options.device.ring_size * ((longest_echo_bytes - 1) / options.data_room_bytes + 1);
    }
    const unsigned count = options.device.queues * per_queue + mbufs_at_hand;
    try {
        return std::make_unique<dpdk::Mempool>("guest_mbufs", count, options.data_room_bytes);
    } catch (const dpdk::Error& error) {
        throw dpdk::Error(error.kind(), error.error_number(), error.what(),
                          "raise memory_mb (--memory-mb), or lower the queues, queue_size or the data room");
    }
}

void swap_addresses(rte_mbuf* packet) {
    auto* ethernet = rte_pktmbuf_mtod(packet, rte_ether_hdr*);
    if (packet->data_len >= sizeof(*ethernet)) {
        std::swap(ethernet->src_addr, ethernet->dst_addr);
    }
}

} // namespace

Guest::Guest(const Options& options)
    : options_(options)
    , verifier_(options.role == Role::verify ? std::make_unique<Verifier>(rte_get_tsc_hz(), options.from_start)
                                             : nullptr) {
    if (!options_.pcap.empty()) {
        pcap_.emplace(options_.pcap);
    }
    pool_ = make_pool(options_);
}

Guest::~Guest() {
    close();
}

void Guest::connect() {
    device_ = std::make_unique<VirtioUser>(options_.device, *pool_);
    link_up_.store(device_->link() != Link::down, std::memory_order_relaxed);
}

void Guest::disconnect() {
    if (device_ == nullptr) {
        return;
    }
    device_->close();
    link_up_.store(false, std::memory_order_relaxed);
    connects_before_ += device_->connects();
    disconnects_before_ += device_->disconnects();
    features_ = device_->features();
    device_.reset();
    mbufs_missing_ = pool_->size() - pool_->available();
}

void Guest::close() {
    disconnect();
    if (pcap_) {
        pcap_->flush();
        publish();
        pcap_.reset();
    }
    pool_.reset();
}

std::uint64_t Guest::poll(unsigned milliseconds, std::uint64_t limit) {
    if (device_ == nullptr) {
        throw dpdk::Error(dpdk::ErrorKind::vhost, ENOTCONN, "the guest is not connected", "connect it first");
    }
    const std::uint64_t before = counters_.received;
    const std::uint64_t enough = limit == 0 ? UINT64_MAX : before + limit;
    const std::uint64_t deadline = rte_rdtsc() + milliseconds * (rte_get_tsc_hz() / 1000);
    do {
        if (device_->link() == Link::down) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } else {
            work(deadline, enough);
        }
    } while (rte_rdtsc() < deadline && counters_.received < enough);
    if (pcap_) {
        pcap_->flush();
    }
    publish();
    return counters_.received - before;
}

// Rounds until the time is over, enough has come, or the backend went.
void Guest::work(std::uint64_t deadline, std::uint64_t enough) {
    const std::lock_guard inside(device_->queues_in_use());
    if (connects() != connects_seen_) {
        if (connects_seen_ != 0 && verifier_ != nullptr) {
            verifier_->expect_new_run();
        }
        connects_seen_ = connects();
    }
    for (unsigned idle_rounds = 0; device_->link() == Link::up;) {
        if (round() != 0) {
            idle_rounds = 0;
        } else if (++idle_rounds > patient_rounds && !options_.spin) {
            sched_yield();
        }
        if (rte_rdtsc() >= deadline || counters_.received >= enough) {
            return;
        }
    }
    if (device_->link() == Link::leaving) {
        while (round() != 0) {
        }
        device_->leave();
    }
}

std::uint16_t Guest::round() {
    std::uint16_t received = 0;
    for (std::uint16_t qid = 0; qid < options_.device.queues; ++qid) {
        rte_mbuf* packets[burst];
        const std::uint16_t count = device_->receive(qid, packets, burst);
        if (count != 0) {
            take(qid, packets, count);
            received = static_cast<std::uint16_t>(received + count);
        }
    }
    return received;
}

void Guest::take(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count) {
    counters_.received += count;
    for (std::uint16_t i = 0; i < count; ++i) {
        counters_.bytes += packets[i]->pkt_len;
    }
    if (pcap_) {
        pcap_->write(packets, count);
    }
    if (verifier_ != nullptr) {
        const std::uint64_t now = rte_rdtsc();
        last_arrival_ = now;
        for (std::uint16_t i = 0; i < count; ++i) {
            rte_prefetch0(rte_pktmbuf_mtod(packets[i], const void*));
        }
        for (std::uint16_t i = 0; i < count; ++i) {
            verifier_->frame(packets[i], now);
        }
    }
    if (options_.role == Role::echo) {
        echo(qid, packets, count);
    } else {
        rte_pktmbuf_free_bulk(packets, count);
    }
}

void Guest::echo(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count) {
    std::for_each(packets, packets + count, &swap_addresses);
    const std::uint16_t taken = device_->send(qid, packets, count);
    rte_pktmbuf_free_bulk(packets + taken, count - taken);
    counters_.echoed += taken;
    counters_.echo_drops += static_cast<std::uint64_t>(count - taken);
}

void Guest::publish() {
    if (device_ != nullptr) {
        // Not before the rings are empty.
        link_up_.store(device_->link() != Link::down, std::memory_order_relaxed);
    }
    if (pcap_) {
        counters_.pcap_packets = pcap_->written();
        counters_.pcap_missed = pcap_->missed();
        pcap_error_ = pcap_->error_number();
    }
    if (verifier_ != nullptr) {
        counters_.verified = verifier_->totals();
    }
    published_.publish(counters_);
}

std::uint64_t Guest::connects() const {
    return connects_before_ + (device_ ? device_->connects() : 0);
}

std::uint64_t Guest::disconnects() const {
    return disconnects_before_ + (device_ ? device_->disconnects() : 0);
}

} // namespace guest
