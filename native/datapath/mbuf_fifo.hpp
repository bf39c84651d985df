// SPDX-License-Identifier: BSD-3-Clause
// The mbufs an engine holds, in submit order, so that they can be freed even when the engine never names them
// again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include <rte_mbuf.h>

namespace datapath {

class MbufFifo {
  public:
    // `size`: a power of two.
    explicit MbufFifo(std::uint32_t size)
        : mask_(size - 1)
        , slots_(std::make_unique<rte_mbuf*[]>(size)) {}

    [[nodiscard]] std::uint32_t count() const { return write_ - read_; }
    [[nodiscard]] std::uint32_t room() const { return mask_ + 1 - count(); }

    // At most room() of them.
    void push(rte_mbuf* const* packets, std::uint32_t count) {
        const std::uint32_t start = write_ & mask_;
        const std::uint32_t first = std::min(count, mask_ + 1 - start);
        std::copy_n(packets, first, &slots_[start]);
        std::copy_n(packets + first, count - first, &slots_[0]);
        write_ += count;
    }

    // The bytes of the oldest `count` packets, at most count() of them.
    [[nodiscard]] std::uint64_t bytes_of_oldest(std::uint32_t count) const {
        std::uint64_t bytes = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            bytes += slots_[(read_ + i) & mask_]->pkt_len;
        }
        return bytes;
    }

    // Frees the oldest `count`, at most count() of them.
    void free_oldest(std::uint32_t count) {
        const std::uint32_t start = read_ & mask_;
        const std::uint32_t first = std::min(count, mask_ + 1 - start);
        rte_pktmbuf_free_bulk(&slots_[start], first);
        if (count > first) {
            rte_pktmbuf_free_bulk(&slots_[0], count - first);
        }
        read_ += count;
        if (read_ == write_) {
            read_ = write_ = 0; // an empty list starts over where the cache is warm
        }
    }

  private:
    std::uint32_t mask_;
    std::uint32_t read_ = 0;
    std::uint32_t write_ = 0;
    std::unique_ptr<rte_mbuf*[]> slots_;
};

} // namespace datapath
