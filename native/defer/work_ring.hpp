// SPDX-License-Identifier: BSD-3-Clause
// The work ring: a FIFO of work items with one owner thread.
//
// Indices run freely over 32 bits and are masked on access, so head and tail need no wrap of their own. The
// ring is full at size - 1 items. Nothing here is atomic: only the thread that owns the ring may touch it.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <stdexcept>

#include "defer/work_item.hpp"

namespace defer {

class WorkRing {
  public:
    static constexpr std::uint32_t min_size = 2;
    static constexpr std::uint32_t max_size = 65536;

    // `first_index` is where both indices start; any value will do (tests start just below 2^32).
    explicit WorkRing(std::uint32_t size, std::uint32_t first_index = 0)
        : mask_(size - 1)
        , read_index_(first_index)
        , write_index_(first_index) {
        check_size(size);
        slots_ = std::make_unique_for_overwrite<WorkItem[]>(size);
        shares_ = std::make_unique_for_overwrite<RxqShare[]>(std::size_t{size} * WorkItem::max_shares);
    }

    // Throws std::invalid_argument for what no ring can have.
    static void check_size(std::uint32_t size) {
        if (size < min_size || size > max_size || !std::has_single_bit(size)) {
            throw std::invalid_argument("ring_size must be a power of two from 2 to 65536");
        }
    }

    [[nodiscard]] bool empty() const { return read_index_ == write_index_; }
    [[nodiscard]] bool full() const { return count() == mask_; }
    [[nodiscard]] std::uint32_t count() const { return write_index_ - read_index_; }
    [[nodiscard]] std::uint32_t capacity() const { return mask_; }

    // The oldest item. Not to be called on an empty ring.
    [[nodiscard]] WorkItem& head() { return slots_[read_index_ & mask_]; }
    void pop() { ++read_index_; }
    // The slot of the new youngest item, for the caller to fill. Not to be called on a full ring.
    [[nodiscard]] WorkItem& push() { return slots_[write_index_++ & mask_]; }
    // Whose packets an item of this ring has: room for WorkItem::max_shares.
    [[nodiscard]] RxqShare* shares_of(const WorkItem& item) {
        return &shares_[static_cast<std::size_t>(&item - slots_.get()) * WorkItem::max_shares];
    }

  private:
    std::uint32_t mask_;
    std::uint32_t read_index_;
    std::uint32_t write_index_;
    std::unique_ptr<WorkItem[]> slots_;
    std::unique_ptr<RxqShare[]> shares_; // by slot; apart, so that items lie close together
};

// A ring, and its place among those with work. Policy fifo has one, per_queue one for each txq.
struct Lane {
    WorkRing ring;
    Lane* next = nullptr; // in the circle of lanes with work; nullptr: it has none
};

} // namespace defer
