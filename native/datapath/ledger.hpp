// SPDX-License-Identifier: BSD-3-Clause
// The ledger of a txq: its in-flight batches in submit order, whatever becomes of them.
//
// vhost hands completions back as a count, in submit order, whoever's poll brought them; work items come back
// in submit order too, one a batch. So two cursors walk the same list: `returned_` over what the engine has
// handed back, `claimed_` over what a work item has been told of. A batch given up is claimed before it is
// returned.
//
// One owner thread, nothing atomic.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

namespace datapath {

class Ledger {
  public:
    struct Returned {
        std::uint32_t completed = 0; // packets
        std::uint32_t late = 0;      // of these, packets of batches that were given up before
    };

    // `batches`: how many it can hold, a power of two.
    explicit Ledger(std::uint32_t batches)
        : mask_(batches - 1)
        , slots_(std::make_unique<Batch[]>(batches)) {}

    [[nodiscard]] bool full() const { return end_ - oldest() > mask_; }
    // Packets the engine still holds: in flight and given up alike.
    [[nodiscard]] std::uint32_t outstanding() const { return in_flight_ + quarantined_; }
    [[nodiscard]] std::uint32_t in_flight() const { return in_flight_; }
    [[nodiscard]] std::uint32_t quarantined() const { return quarantined_; }
    // Batches that no work item has been told of.
    [[nodiscard]] std::uint32_t unclaimed() const { return end_ - claimed_; }

    // Not to be called when full.
    void append(std::uint32_t packets, std::uint64_t submitted_at) {
        if (end_ == returned_ && end_ == claimed_) {
            end_ = returned_ = claimed_ = 0; // an empty ledger starts over where the cache is warm
        }
        slots_[end_++ & mask_] = {.remaining = packets, .given_up = false, .submitted_at = submitted_at};
        in_flight_ += packets;
    }

    // The youngest batch, which no work item has been told of, grows. When all of it was back it is complete once more
    // later.
    void extend_youngest(std::uint32_t packets) {
        if (returned_ == end_) {
            --returned_;
        }
        slots_[(end_ - 1) & mask_].remaining += packets;
        in_flight_ += packets;
    }

    // The engine handed back the next `packets`, at most outstanding() of them. Calls `whole(submitted_at)` for each
    // batch that is complete now.
    template<typename Whole> Returned take_back(std::uint32_t packets, Whole whole) {
        Returned result;
        while (packets > 0 && returned_ != end_) {
            Batch& batch = slots_[returned_ & mask_];
            const std::uint32_t part = std::min(packets, batch.remaining);
            packets -= part;
            batch.remaining -= part;
            result.completed += part;
            result.late += batch.given_up ? part : 0;
            (batch.given_up ? quarantined_ : in_flight_) -= part;
            if (batch.remaining == 0) {
                whole(batch.submitted_at);
                ++returned_;
            }
        }
        return result;
    }

    // Is the oldest unclaimed batch back? Not to be called when none is unclaimed.
    [[nodiscard]] bool oldest_done() const { return slots_[claimed_ & mask_].remaining == 0; }
    void claim_oldest() { ++claimed_; }

    // Claims the oldest unclaimed batch though it is not back; returns the packets that are missing of it.
    std::uint32_t give_up_oldest() {
        Batch& batch = slots_[claimed_++ & mask_];
        batch.given_up = true;
        in_flight_ -= batch.remaining;
        quarantined_ += batch.remaining;
        return batch.remaining;
    }

  private:
    struct Batch {
        std::uint32_t remaining; // packets not handed back yet
        bool given_up;
        std::uint64_t submitted_at;
    };

    [[nodiscard]] std::uint32_t oldest() const { return end_ - returned_ > end_ - claimed_ ? returned_ : claimed_; }

    std::uint32_t mask_;
    std::uint32_t end_ = 0;
    std::uint32_t returned_ = 0;
    std::uint32_t claimed_ = 0;
    std::uint32_t in_flight_ = 0;
    std::uint32_t quarantined_ = 0;
    std::unique_ptr<Batch[]> slots_;
};

} // namespace datapath
