// SPDX-License-Identifier: BSD-3-Clause
// Copies of the packets that pass a port, for a reader on the control side. A reader that is too slow loses some of
// them, and the port never waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dpdk/mempool.hpp"
#include "dpdk/packet_ring.hpp"

namespace datapath {

enum class Direction : std::uint16_t { rx, tx };

class Capture {
  public:
    // Keeps `frames` of them for the reader, a power of two, of each the first `snap_bytes`, on mbufs of its own.
    // Throws dpdk::Error.
    Capture(const std::string& name, std::uint32_t frames, std::uint32_t snap_bytes);
    ~Capture() { release(); }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // ---- PMD threads ----
    void add(rte_mbuf* const* packets, std::uint16_t count, Direction direction, std::uint16_t qid, std::uint64_t now);

    // ---- control side ----
    // A reader's copy. It says by itself where and when it was made.
    class Frame {
      public:
        explicit Frame(rte_mbuf* packet)
            : packet_(packet) {}
        ~Frame() { rte_pktmbuf_free(packet_); }
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;

        [[nodiscard]] std::uint64_t tsc() const { return packet_->tx_offload; }
        [[nodiscard]] Direction direction() const { return static_cast<Direction>(packet_->vlan_tci); }
        [[nodiscard]] std::uint16_t qid() const { return packet_->vlan_tci_outer; }
        // Of the frame as it passed; copied_bytes() are here.
        [[nodiscard]] std::uint32_t length() const { return packet_->hash.rss; }
        [[nodiscard]] std::uint32_t copied_bytes() const { return packet_->pkt_len; }
        void copy_to(char* buffer) const;

      private:
        rte_mbuf* packet_;
    };
    // The oldest packet that waits, or nullptr. One reader at a time.
    [[nodiscard]] rte_mbuf* read();
    // Gives the memory back. No thread adds, and nobody reads any more.
    void release() {
        ring_.reset();
        pool_.free();
    }
    // Packets that there was no room for.
    [[nodiscard]] std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

  private:
    std::uint32_t snap_bytes_;
    dpdk::Mempool pool_;
    std::unique_ptr<dpdk::PacketRing> ring_;
    std::atomic<std::uint64_t> lost_{0};
};

} // namespace datapath
