// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: its l2 forwarding. Everything here runs on the thread itself.
//
// A flow keeps its order: what an rxq brings for a port leaves by the one txq that the thread has for that port, or by
// the one handoff, flooded or not.
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "datapath/pmd_thread.hpp"

namespace datapath {

namespace {

// Beside the ports of the bridge.
constexpr int to_all = -1;
constexpr int to_none = -2;

} // namespace

std::uint32_t PmdThread::poll_bridged(PmdWork::Input& input) {
    const std::uint64_t start = owner_.now;
    rte_mbuf* packets[max_batch];
    const std::uint16_t count = receive(input, packets);
    if (count == 0) {
        return 0;
    }
    int ports[max_batch];
    for (std::uint16_t i = 0; i < count; ++i) {
        ports[i] = bridge_port_for(input, packets[i]);
    }
    owner_.now = rte_rdtsc();
    input.load.processing_cycles += owner_.now - start; // sends are charged when they are made
    for (std::uint16_t i = 0; i < count; ++i) {
        if (ports[i] == to_all) {
            flood(input, packets[i]);
        } else if (ports[i] == to_none) {
            ++stats_.filtered;
            rte_pktmbuf_free(packets[i]);
        } else {
            append(input, *work_->bridge_outputs[static_cast<std::size_t>(ports[i])], &packets[i], 1);
        }
    }
    return count;
}

int PmdThread::bridge_port_for(const PmdWork::Input& input, const rte_mbuf* packet) {
    if (packet->data_len < sizeof(rte_ether_hdr)) [[unlikely]] {
        return to_none;
    }
    const auto* header = rte_pktmbuf_mtod(packet, const rte_ether_hdr*);
    Bridge& learned = *work_->bridge();
    learned.learn(Bridge::address(header->src_addr.addr_bytes), static_cast<std::uint16_t>(input.bridge_port),
                  seconds_);
    const int port = learned.find(Bridge::address(header->dst_addr.addr_bytes), seconds_);
    if (port == input.bridge_port) {
        return to_none;
    }
    const auto& outputs = work_->bridge_outputs;
    const auto number = static_cast<std::size_t>(port);
    return port >= 0 && number < outputs.size() && outputs[number] != nullptr ? port : to_all;
}

// One packet leaves by several ports: it is only read from here on, and the last of them frees it.
void PmdThread::flood(PmdWork::Input& input, rte_mbuf* packet) {
    const auto own = static_cast<std::size_t>(input.bridge_port);
    std::int16_t others = 0;
    for (std::size_t port = 0; port < work_->bridge_outputs.size(); ++port) {
        others = static_cast<std::int16_t>(others + (port != own && work_->bridge_outputs[port] != nullptr));
    }
    if (others == 0) {
        ++stats_.unwired_drops;
        rte_pktmbuf_free(packet);
        return;
    }
    rte_pktmbuf_refcnt_update(packet, static_cast<std::int16_t>(others - 1));
    stats_.flooded += static_cast<std::uint64_t>(others);
    for (std::size_t port = 0; port < work_->bridge_outputs.size(); ++port) {
        if (port != own && work_->bridge_outputs[port] != nullptr) {
            append(input, *work_->bridge_outputs[port], &packet, 1);
        }
    }
}

} // namespace datapath
