// SPDX-License-Identifier: BSD-3-Clause
// Order, loss and duplicates in one stream of numbered frames.
//
// The numbers count from 0 without gaps at the sender. A number that is passed over is lost, until it comes
// late: then it is reordered instead. Of the last 65536 numbers it is known which came; an older one that
// comes is called reordered, and stays lost.
#pragma once

#include <array>
#include <cstdint>

namespace guest {

class StreamCheck {
  public:
    static constexpr std::uint64_t window = 65536;

    struct Counters {
        std::uint64_t received = 0;
        std::uint64_t lost = 0;
        std::uint64_t reordered = 0;
        std::uint64_t duplicates = 0;
        std::uint64_t missed_before_start = 0;
        std::uint64_t first = 0; // sequence numbers: the first that came, and the highest
        std::uint64_t last = 0;
    };

    // `from_start`: what is missing before the first frame is lost. Otherwise the guest joined late, and it
    // was missed.
    explicit StreamCheck(bool from_start)
        : from_start_(from_start) {}

    void frame(std::uint64_t sequence) {
        ++counters_.received;
        if (counters_.received == 1 || (perhaps_new_run_ && sequence < next_)) {
            begin(sequence);
        } else if (sequence >= next_) {
            advance(sequence);
        } else {
            late(sequence);
        }
        perhaps_new_run_ = false;
    }

    // Another backend may be there: when the next frame goes back in number, a new run of the sender has
    // begun.
    void expect_new_run() { perhaps_new_run_ = true; }

    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    void begin(std::uint64_t sequence) {
        came_.fill(0);
        mark(sequence);
        counters_.first = sequence;
        counters_.last = sequence;
        next_ = sequence + 1;
        missing_before_first() += sequence;
    }

    void advance(std::uint64_t sequence) {
        const std::uint64_t gap = sequence - next_;
        counters_.lost += gap;
        if (gap >= window) {
            came_.fill(0);
        } else {
            for (std::uint64_t number = next_; number < sequence; ++number) {
                word(number) &= ~bit(number);
            }
        }
        mark(sequence);
        counters_.last = sequence;
        next_ = sequence + 1;
    }

    void late(std::uint64_t sequence) {
        if (next_ - sequence > window) {
            ++counters_.reordered;
            return;
        }
        if ((word(sequence) & bit(sequence)) != 0) {
            ++counters_.duplicates;
            return;
        }
        mark(sequence);
        ++counters_.reordered;
        --(sequence < counters_.first ? missing_before_first() : counters_.lost);
    }

    std::uint64_t& missing_before_first() { return from_start_ ? counters_.lost : counters_.missed_before_start; }
    std::uint64_t& word(std::uint64_t sequence) { return came_[sequence % window / 64]; }
    static std::uint64_t bit(std::uint64_t sequence) { return std::uint64_t{1} << (sequence % 64); }
    void mark(std::uint64_t sequence) { word(sequence) |= bit(sequence); }

    bool from_start_;
    bool perhaps_new_run_ = false;
    std::uint64_t next_ = 0;
    Counters counters_;
    std::array<std::uint64_t, window / 64> came_{};
};

} // namespace guest
