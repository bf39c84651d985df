// SPDX-License-Identifier: BSD-3-Clause
// A virtio-user device: the guest's end of a vhost-user socket, opened, watched and closed.
//
// Threads: the poller uses the queues; DPDK's interrupt thread notices that the backend goes or, in server
// mode, comes again, and then may reset the rings. The two never meet there: see Link.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include <rte_ethdev.h>

#include "dpdk/mempool.hpp"

namespace guest {

// down: the rings belong to DPDK's interrupt thread. up: they are the poller's. leaving: the backend is gone,
// and the interrupt thread waits until the poller has emptied the rings, or has not come for half a second.
enum class Link : std::uint8_t { down, up, leaving };

class VirtioUser {
  public:
    struct Options {
        std::string device; // "net_virtio_user0,path=/tmp/vm0.sock,queues=1,queue_size=1024"
        std::uint16_t queues = 1;
        std::uint16_t ring_size = 1024;
    };

    // ---- control side ----
    // Waits for the backend: for its answers as a client, for its coming as a server. Throws Error;
    // ECONNREFUSED and ENOENT: no backend listens yet.
    VirtioUser(const Options& options, const dpdk::Mempool& pool);
    ~VirtioUser();
    VirtioUser(const VirtioUser&) = delete;
    VirtioUser& operator=(const VirtioUser&) = delete;
    // Stops the device, frees what it holds, and takes it off its bus. No thread polls. Harmless the second
    // time.
    void close();

    // ---- any thread ----
    [[nodiscard]] Link link() const { return link_.load(std::memory_order_acquire); }
    // How often a backend was there, and went away.
    [[nodiscard]] std::uint64_t connects() const { return connects_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t disconnects() const { return disconnects_.load(std::memory_order_relaxed); }
    // The feature bits agreed on last; 0 when this DPDK does not tell.
    [[nodiscard]] std::uint64_t features() const { return features_.load(std::memory_order_relaxed); }

    // ---- poller ----
    // Held while the queues are in use; given up whenever link() is not up.
    [[nodiscard]] std::mutex& queues_in_use() { return queues_in_use_; }
    // The rings are empty now: they are the interrupt thread's. With the mutex held.
    void leave() {
        Link expected = Link::leaving;
        link_.compare_exchange_strong(expected, Link::down, std::memory_order_acq_rel);
    }
    [[nodiscard]] std::uint16_t queues() const { return options_.queues; }
    [[nodiscard]] std::uint16_t receive(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count) const {
        return rte_eth_rx_burst(port_id_, qid, packets, count);
    }
    [[nodiscard]] std::uint16_t send(std::uint16_t qid, rte_mbuf** packets, std::uint16_t count) const {
        return rte_eth_tx_burst(port_id_, qid, packets, count);
    }

  private:
    static constexpr std::chrono::milliseconds leaving_limit{500};

    [[noreturn]] void fail(const std::string& step, int result) const;
    void probe();
    void configure(const dpdk::Mempool& pool);
    void start(const dpdk::Mempool& pool);
    void stop();
    static int link_changed(std::uint16_t port_id, rte_eth_event_type type, void* self, void* result);
    void backend_gone();
    void read_features();

    Options options_;
    std::string name_;
    std::string log_mark_;
    std::uint16_t port_id_ = 0;
    bool open_ = false;
    std::uint64_t link_changes_ = 0; // the interrupt thread's
    std::mutex queues_in_use_;
    std::atomic<Link> link_{Link::down};
    std::atomic<bool> closing_{false};
    std::atomic<std::uint64_t> connects_{0};
    std::atomic<std::uint64_t> disconnects_{0};
    std::atomic<std::uint64_t> features_{0};
};

} // namespace guest
