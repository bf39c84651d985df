// SPDX-License-Identifier: BSD-3-Clause
// What was spent for something in the last minute, in steps of 5 s.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace datapath {

class RecentCycles {
  public:
    static constexpr std::size_t steps = 12;
    static constexpr unsigned step_seconds = 5;
    using Steps = std::array<std::uint64_t, steps>;

    // `step`: the number of the present one, TSC divided by a step's cycles. A step before the youngest is not written
    // any more.
    void add(std::uint64_t cycles, std::uint64_t step) {
        if (step < youngest_) {
            return;
        }
        if (step - youngest_ >= slots) {
            cycles_.fill(0);
        } else {
            for (std::uint64_t begun = youngest_ + 1; begun <= step; ++begun) {
                cycles_[begun % slots] = 0;
            }
        }
        youngest_ = step;
        cycles_[step % slots] += cycles;
    }

    // The number of the step that a time is in.
    static std::uint64_t step_at(std::uint64_t tsc, std::uint64_t tsc_hz) { return tsc / (step_seconds * tsc_hz); }

    // The last so many steps before `step`, oldest first: `step` itself is not over.
    [[nodiscard]] Steps before(std::uint64_t step) const {
        Steps result{};
        for (std::size_t i = 0; i < steps && i < step; ++i) {
            const std::uint64_t number = step - 1 - i;
            if (number <= youngest_ && youngest_ - number < slots) {
                result[steps - 1 - i] = cycles_[number % slots];
            }
        }
        return result;
    }

  private:
    static constexpr std::size_t slots = steps + 1; // the present step has one too

    std::array<std::uint64_t, slots> cycles_{};
    std::uint64_t youngest_ = 0;
};

} // namespace datapath
