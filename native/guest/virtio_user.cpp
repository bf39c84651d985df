// SPDX-License-Identifier: BSD-3-Clause
// A virtio-user device, from the control side.
#include "guest/virtio_user.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include <rte_log.h>
#include <rte_mempool.h>

#include "dpdk/device.hpp"
#include "dpdk/error.hpp"
#include "dpdk/log.hpp"
#include "guest/interrupt_thread.hpp"

namespace guest {
namespace {

constexpr std::size_t log_lines = 64;
// What the driver may put before a frame: the longest virtio-net header, Ethernet's header and a VLAN tag.
constexpr std::uint32_t room_beside_mtu = 12 + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;

// The lines that DPDK logged since `mark`, oldest first.
std::vector<std::string> lines_since(const std::string& mark) {
    auto lines = dpdk::log::last_lines(log_lines);
    const auto found = std::find_if(lines.rbegin(), lines.rend(),
                                    [&](const std::string& line) { return line.find(mark) != std::string::npos; });
    lines.erase(lines.begin(), found.base());
    return lines;
}

// The driver answers -1 to everything; only its log knows why.
int logged_errno(const std::vector<std::string>& lines, int otherwise) {
    for (const int number : {ECONNREFUSED, ENOENT, EACCES, EADDRINUSE, EPIPE, ECONNRESET}) {
        for (const auto& line : lines) {
            if (line.find(std::strerror(number)) != std::string::npos) {
                return number;
            }
        }
    }
    for (const auto& line : lines) {
        if (line.find("msg hdr: 0 instead of") != std::string::npos) {
            return ECONNRESET; // the end of the stream where an answer was to be
        }
    }
    return otherwise;
}

// All mbufs of a pool, taken out of it for the time of a scope.
class EmptyPool {
  public:
    explicit EmptyPool(const dpdk::Mempool& pool)
        : pool_(pool.get()) {
        mbufs_.reserve(pool.size());
        for (void* mbuf = nullptr; rte_mempool_get(pool_, &mbuf) == 0;) {
            mbufs_.push_back(mbuf);
        }
    }
    ~EmptyPool() { rte_mempool_put_bulk(pool_, mbufs_.data(), static_cast<unsigned>(mbufs_.size())); }
    EmptyPool(const EmptyPool&) = delete;
    EmptyPool& operator=(const EmptyPool&) = delete;

  private:
    rte_mempool* pool_;
    std::vector<void*> mbufs_;
};

} // namespace

VirtioUser::VirtioUser(const Options& options, const dpdk::Mempool& pool)
    : options_(options)
    , name_(dpdk::device_name(options.device)) {
    probe();
    try {
        configure(pool);
        start(pool);
    } catch (...) {
        close();
        throw;
    }
}

VirtioUser::~VirtioUser() {
    close();
}

void VirtioUser::fail(const std::string& step, int result) const {
    const auto lines = lines_since(log_mark_);
    const int number = logged_errno(lines, result == -1 ? EIO : -result);
    std::string text = step + " of the virtio-user device failed: " + std::strerror(number);
    for (const auto& line : lines) {
        text += "\n  " + line;
    }
    throw dpdk::Error(
        dpdk::ErrorKind::vhost, number, text,
        "the lines above are DPDK's; check the socket, the backend behind it, and the --virtio arguments");
}

void VirtioUser::probe() {
    // The driver's INFO level names the features that were agreed on.
    (void)rte_log_set_level_pattern("pmd.net.virtio.driver", RTE_LOG_INFO);
    static std::atomic<unsigned> opened{0};
    log_mark_ = "opening virtio-user device, no. " + std::to_string(++opened);
    dpdk::log::add(log_mark_);
    const int result = dpdk::probe_device(options_.device);
    if (rte_eth_dev_get_port_by_name(name_.c_str(), &port_id_) != 0) {
        fail("opening", result < 0 ? result : -ENODEV);
    }
    open_ = true;
}

void VirtioUser::configure(const dpdk::Mempool& pool) {
    rte_eth_dev_info info{};
    if (const int result = rte_eth_dev_info_get(port_id_, &info); result != 0) {
        fail("reading the abilities", result);
    }
    rte_eth_conf conf{};
    conf.intr_conf.lsc = 1;
    conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    std::uint32_t mtu = info.max_mtu;
    if (conf.rxmode.offloads == 0) {
        // No mergeable buffers: a frame is what fits one mbuf.
        mtu = std::clamp<std::uint32_t>(pool.data_room_bytes() - room_beside_mtu, info.min_mtu, info.max_mtu);
    }
    conf.rxmode.mtu = mtu;
    if (const int result = rte_eth_dev_configure(port_id_, options_.queues, options_.queues, &conf); result != 0) {
        fail("configuration", result);
    }
    const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(port_id_));
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        if (const int result = rte_eth_rx_queue_setup(port_id_, qid, options_.ring_size, socket, nullptr, pool.get());
            result != 0) {
            fail("set-up of rxq " + std::to_string(qid), result);
        }
        if (const int result = rte_eth_tx_queue_setup(port_id_, qid, options_.ring_size, socket, nullptr);
            result != 0) {
            fail("set-up of txq " + std::to_string(qid), result);
        }
    }
    if (const int result = rte_eth_dev_callback_register(port_id_, RTE_ETH_EVENT_INTR_LSC, &link_changed, this);
        result != 0) {
        fail("watching the link", result);
    }
}

void VirtioUser::start(const dpdk::Mempool& pool) {
    link_.store(Link::up, std::memory_order_release);
    int result = 0;
    if (options_.device.find("vectorized=1") == std::string::npos) {
        // The backend has been able to send since configuration, and the start throws away what came before
        // its end. With no mbuf in the rings nothing can come; the first receive fills them. (The vectorised
        // path waits for mbufs for ever.)
        const EmptyPool nothing_to_fill_rings_with(pool);
        result = rte_eth_dev_start(port_id_);
    } else {
        result = rte_eth_dev_start(port_id_);
    }
    if (result != 0) {
        fail("start", result);
    }
    connects_.store(1, std::memory_order_relaxed);
    read_features();
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port_id_, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN) {
        // The backend went while the device started: nobody is called for that.
        link_.store(Link::down, std::memory_order_release);
        disconnects_.store(1, std::memory_order_relaxed);
    }
}

void VirtioUser::close() {
    if (!open_) {
        return;
    }
    open_ = false;
    closing_.store(true, std::memory_order_release);
    stop();
    while (rte_eth_dev_callback_unregister(port_id_, RTE_ETH_EVENT_INTR_LSC, &link_changed, this) == -EAGAIN) {
        std::this_thread::yield();
    }
    (void)rte_eth_dev_close(port_id_);
    dpdk::remove_device(name_);
    link_.store(Link::down, std::memory_order_release);
}

// When a backend goes or comes the driver sets alarms, due a microsecond later, that register its interrupt handler
// anew: after the stop they would leave DPDK a handler for a file that is closed, which it panics about. So the device
// is stopped in the interrupt thread, after two rounds of alarms without a change of the link: in the first the
// driver's alarms for the last change have run, and with them the handler is gone that could set more; in the second
// the last that it set have run too.
void VirtioUser::stop() {
    std::uint64_t seen = 0;
    for (unsigned quiet_rounds = 0; quiet_rounds < 2;) {
        in_interrupt_thread([&] {
            quiet_rounds = link_changes_ == seen ? quiet_rounds + 1 : 0;
            seen = link_changes_;
            if (quiet_rounds == 2) {
                (void)rte_eth_dev_stop(port_id_);
            }
        });
    }
}

// Called by DPDK's interrupt thread.
int VirtioUser::link_changed(std::uint16_t port_id, rte_eth_event_type /*type*/, void* self, void* /*result*/) {
    auto& device = *static_cast<VirtioUser*>(self);
    ++device.link_changes_;
    rte_eth_link link{};
    if (device.closing_.load(std::memory_order_acquire) || rte_eth_link_get_nowait(port_id, &link) != 0) {
        return 0;
    }
    if (link.link_status == RTE_ETH_LINK_DOWN) {
        device.backend_gone();
    } else if (device.link() == Link::down) {
        device.read_features();
        device.connects_.fetch_add(1, std::memory_order_relaxed);
        // Pairs with the poller's link(): who sees it up sees the rings as they were set up again.
        device.link_.store(Link::up, std::memory_order_release);
    }
    return 0;
}

void VirtioUser::backend_gone() {
    disconnects_.fetch_add(1, std::memory_order_relaxed);
    link_.store(Link::leaving, std::memory_order_release);
    const auto limit = std::chrono::steady_clock::now() + leaving_limit;
    while (link() == Link::leaving && !closing_.load(std::memory_order_acquire) &&
           std::chrono::steady_clock::now() < limit) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // A poller that is inside sees `leaving` in its next round, and lets go.
    const std::lock_guard nobody_inside(queues_in_use_);
    link_.store(Link::down, std::memory_order_release);
}

void VirtioUser::read_features() {
    static const std::string words = "set features: 0x";
    for (const auto& line : lines_since(log_mark_)) {
        if (const auto at = line.find(words); at != std::string::npos) {
            features_.store(std::strtoull(line.c_str() + at + words.size(), nullptr, 16), std::memory_order_relaxed);
        }
    }
}

} // namespace guest
