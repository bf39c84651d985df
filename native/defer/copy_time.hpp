// SPDX-License-Identifier: BSD-3-Clause
// What was learned of one channel: how long after its submit a send is done.
//
// The time depends on the bytes that the channel has to copy until then, those of earlier sends included, so there is
// an estimate for each class of backlog, four classes an octave. An estimate is no mean: it is led to the time at
// which about every other send is done, because a first check a little early costs one check more, and one a little
// late costs every such send that time. It moves by small steps, 1/64 up when the first check came too early and 1/32
// down when it did not; steps in one direction double from the third on, so that a device ten times slower or faster is
// followed within a dozen sends, while one odd send moves nothing much.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace defer {

class CopyTime {
  public:
    // `shortest_gap`: ticks between two checks of one send, at least.
    explicit CopyTime(std::uint64_t shortest_gap)
        : shortest_gap_(std::max<std::uint64_t>(shortest_gap, 1)) {}

    // ---- the channel's backlog ----
    // A send of so many bytes was submitted; returns its class.
    [[nodiscard]] std::uint16_t submitted(std::uint32_t bytes) {
        backlog_bytes_ += bytes;
        const std::uint16_t size_class = class_of(backlog_bytes_);
        if (!estimates_[size_class].taught) [[unlikely]] {
            estimates_[size_class].ticks = nearest(size_class);
        }
        return size_class;
    }
    void left(std::uint32_t bytes) { backlog_bytes_ -= bytes; }

    // ---- when to ask ----
    // Ticks after its submit when a send of this class is worth the first check.
    [[nodiscard]] std::uint64_t expected(std::uint16_t size_class) const { return estimates_[size_class].ticks; }
    // Ticks from a check that came too early, the `attempts`-th, to the next one. The steps grow with the time that has
    // passed: few checks, and little added to it.
    [[nodiscard]] std::uint64_t gap(std::uint32_t attempts, std::uint64_t elapsed) const {
        const std::uint64_t step = attempts <= 1    ? elapsed >> 4
                                   : attempts <= 4  ? (elapsed >> 4) + (elapsed >> 5)
                                   : attempts <= 12 ? elapsed >> 3
                                                    : elapsed >> 2;
        return std::max(step, shortest_gap_);
    }

    // ---- what came of it ----
    // The first check, for which the send had to wait its time, found it done.
    void first_check_was_right(std::uint16_t size_class) {
        Estimate& estimate = estimates_[size_class];
        const unsigned shift = estimate.step_shift(true);
        estimate.ticks -= estimate.ticks >> std::max(shift - 1, 1U);
    }
    // The first check came too early; the send was done after `elapsed` ticks at the latest.
    void first_check_was_early(std::uint16_t size_class, std::uint64_t elapsed) {
        Estimate& estimate = estimates_[size_class];
        const unsigned shift = estimate.step_shift(false);
        const std::uint64_t step = std::max(estimate.ticks >> shift, shortest_gap_ >> 2);
        estimate.ticks = std::min(estimate.ticks + std::max<std::uint64_t>(step, 1), std::max(elapsed, estimate.ticks));
    }

  private:
    static constexpr unsigned smallest_bits = 6; // up to 127 bytes: the first octave
    static constexpr unsigned octaves = 20;
    static constexpr unsigned first_shift = 6;  // a step is 1/64
    static constexpr unsigned steady_steps = 2; // in one direction, before they grow

    struct Estimate {
        std::uint64_t ticks = 0;
        bool taught = false; // else it is that of the nearest class
        std::uint8_t shift = first_shift;
        std::uint8_t steps = 0; // in the same direction
        bool down = false;

        unsigned step_shift(bool now_down) {
            taught = true;
            if (now_down != down) {
                down = now_down;
                steps = 0;
                shift = first_shift;
            } else if (steps < steady_steps) {
                ++steps;
            } else if (shift > 1) {
                --shift;
            }
            return shift;
        }
    };

    // The estimate of the nearest smaller class that was taught anything, else of the nearest larger one.
    [[nodiscard]] std::uint64_t nearest(std::uint16_t size_class) const {
        for (std::size_t lower = size_class; lower-- > 0;) {
            if (estimates_[lower].taught) {
                return estimates_[lower].ticks;
            }
        }
        for (std::size_t higher = size_class + std::size_t{1}; higher < estimates_.size(); ++higher) {
            if (estimates_[higher].taught) {
                return estimates_[higher].ticks;
            }
        }
        return 0;
    }
    static std::uint16_t class_of(std::uint64_t bytes) {
        const std::uint64_t value = std::max(bytes, std::uint64_t{1} << smallest_bits);
        const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1;
        const auto quarter = static_cast<unsigned>(value >> (exponent - 2)) & 3;
        return static_cast<std::uint16_t>(std::min(4 * (exponent - smallest_bits) + quarter, 4 * octaves - 1));
    }

    std::uint64_t shortest_gap_;
    std::uint64_t backlog_bytes_ = 0;
    std::array<Estimate, 4 * octaves> estimates_{};
};

} // namespace defer
