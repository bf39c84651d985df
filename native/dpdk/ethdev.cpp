// SPDX-License-Identifier: BSD-3-Clause
// An ethdev made ready.
#include "dpdk/ethdev.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ring.h>

#include "dpdk/device.hpp"
#include "dpdk/error.hpp"
#include "dpdk/log.hpp"

namespace dpdk {
namespace {

// What rte_eth_dev_configure will take: a device may tell the longest frame only. It counts the FCS, and what else the
// device adds, when the device tells both.
std::uint32_t largest_mtu(const rte_eth_dev_info& info) {
    const bool tells_both = info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu;
    const std::uint32_t overhead =
        tells_both ? info.max_rx_pktlen - info.max_mtu : std::uint32_t{RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN};
    const std::uint32_t by_frame = info.max_rx_pktlen > overhead ? info.max_rx_pktlen - overhead : 0;
    return std::min<std::uint32_t>(info.max_mtu, by_frame);
}

} // namespace

Ethdev::Ethdev(std::string port_name, const Options& options, const Mempool& pool)
    : port_name_(std::move(port_name))
    , options_(options)
    , name_(device_name(options.device)) {
    open();
    try {
        configure(pool);
    } catch (...) {
        close();
        throw;
    }
}

Ethdev::~Ethdev() {
    close();
}

void Ethdev::fail(const std::string& step, int result, const std::string& hint) const {
    std::string text =
        "port." + port_name_ + ".device: " + step + " of '" + options_.device + "' failed: " + rte_strerror(-result);
    for (const auto& line : log::last_lines(2)) {
        text += "\n  " + line;
    }
    throw Error(ErrorKind::port, -result, text, hint);
}

void Ethdev::open() {
    if (rte_eth_dev_get_port_by_name(name_.c_str(), &id_) != 0) {
        const int result = probe_device(options_.device);
        if (rte_eth_dev_get_port_by_name(name_.c_str(), &id_) != 0) {
            fail("probing", result < 0 ? result : -ENODEV,
                 "are the files and interfaces that it names there? A vdev is named with its arguments (net_null0), a "
                 "NIC that is bound to vfio-pci by its PCI address, with eal.pci = true");
        }
    }
    open_ = true;
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id_, &info) == 0 && info.driver_name != nullptr) {
        driver_ = info.driver_name;
    }
}

void Ethdev::configure(const Mempool& pool) {
    rte_eth_dev_info info{};
    if (const int result = rte_eth_dev_info_get(id_, &info); result != 0) {
        fail("reading the abilities", result);
    }
    if (options_.queues > info.max_rx_queues || options_.queues > info.max_tx_queues) {
        const auto most = std::min(info.max_rx_queues, info.max_tx_queues);
        throw Error(ErrorKind::port, EINVAL,
                    "port." + port_name_ + ".queues: " + std::to_string(options_.queues) + " is more than '" + name_ +
                        "' has",
                    "choose 1 to " + std::to_string(most) + ", or give the device more queues by its arguments");
    }
    if (const auto most = largest_mtu(info); options_.mtu < info.min_mtu || options_.mtu > most) {
        const bool too_much = options_.mtu > most;
        throw Error(ErrorKind::port, EINVAL,
                    "port." + port_name_ + ".mtu: " + std::to_string(options_.mtu) + " is " +
                        (too_much ? "more" : "less") + " than '" + name_ + "' takes",
                    too_much ? "choose " + std::to_string(most) + " at most"
                             : "choose " + std::to_string(info.min_mtu) + " at least");
    }
    rte_eth_conf conf{};
    conf.rxmode.mtu = options_.mtu;
    // Chained mbufs arrive from several drivers, and a received frame may be one.
    conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    if (const int result = rte_eth_dev_configure(id_, options_.queues, options_.queues, &conf); result != 0) {
        fail("configuration", result);
    }
    std::uint16_t rx_size = options_.rx_ring_size;
    std::uint16_t tx_size = options_.tx_ring_size;
    if (const int result = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_size, &tx_size); result != 0) {
        fail("adjusting the ring sizes", result);
    }
    const int socket = rte_eth_dev_socket_id(id_);
    for (std::uint16_t qid = 0; qid < options_.queues; ++qid) {
        if (const int result =
                rte_eth_rx_queue_setup(id_, qid, rx_size, static_cast<unsigned>(socket), nullptr, pool.get());
            result != 0) {
            fail("set-up of rxq " + std::to_string(qid), result);
        }
        if (const int result = rte_eth_tx_queue_setup(id_, qid, tx_size, static_cast<unsigned>(socket), nullptr);
            result != 0) {
            fail("set-up of txq " + std::to_string(qid), result);
        }
    }
    if (const int result = rte_eth_dev_start(id_); result != 0) {
        fail("start", result);
    }
    if (options_.promiscuous) {
        (void)rte_eth_promiscuous_enable(id_); // a vdev without a filter says that it cannot
    }
}

void Ethdev::close() {
    if (!open_) {
        return;
    }
    open_ = false;
    (void)rte_eth_dev_stop(id_);
    (void)rte_eth_dev_close(id_);
    remove_device(name_);
}

rte_ring* Ethdev::tx_ring(std::uint16_t qid) const {
    // How net_ring names the ring that is both ends of a queue of a device of its own making.
    const std::string ring_name = "ETH_RXTX" + std::to_string(qid) + "_" + name_;
    rte_ring* ring = driver_ == "net_ring" ? rte_ring_lookup(ring_name.c_str()) : nullptr;
    if (ring == nullptr) {
        throw Error(ErrorKind::port, ENOTSUP,
                    "port." + port_name_ + ".async: '" + name_ + "' (" + driver_ +
                        ") cannot tell when the far side has taken a batch",
                    "use a net_ring device (net_ring0), or async = false");
    }
    return ring;
}

} // namespace dpdk
