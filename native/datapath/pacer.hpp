// SPDX-License-Identifier: BSD-3-Clause
// Lets so many packets through a second. After a pause of the thread it catches up, but by no more than the
// smallest usual vring holds: a paced run never overruns a guest that keeps up.
#pragma once

#include <algorithm>
#include <cstdint>

namespace datapath {

class Pacer {
  public:
    static constexpr double max_backlog_packets = 256;

    // 0: no limit.
    void set_rate(double packets_per_second, std::uint64_t cycles_per_second) {
        cycles_per_packet_ = packets_per_second > 0 ? static_cast<double>(cycles_per_second) / packets_per_second : 0;
    }
    [[nodiscard]] bool limited() const { return cycles_per_packet_ > 0; }
    void restart(std::uint64_t now) { next_due_ = static_cast<double>(now); }

    // How many of `wanted` packets may go now, none before `at_least` of them may; they count as gone.
    std::uint16_t take(std::uint64_t now, std::uint16_t wanted, std::uint16_t at_least = 1) {
        const double late = static_cast<double>(now) - next_due_;
        if (late < (at_least - 1) * cycles_per_packet_) {
            return 0;
        }
        double due = late / cycles_per_packet_ + 1;
        if (due > max_backlog_packets) {
            missed_ += due - max_backlog_packets;
            next_due_ = static_cast<double>(now) - max_backlog_packets * cycles_per_packet_;
            due = max_backlog_packets;
        }
        const auto taken = static_cast<std::uint16_t>(std::min<double>(due, wanted));
        next_due_ += taken * cycles_per_packet_;
        return taken;
    }

    // Packets that were due and are not caught up with any more.
    [[nodiscard]] std::uint64_t missed() const { return static_cast<std::uint64_t>(missed_); }

    // Gives back what was taken and not used.
    void give_back(std::uint16_t packets) { next_due_ -= packets * cycles_per_packet_; }

  private:
    double cycles_per_packet_ = 0;
    double next_due_ = 0;
    double missed_ = 0;
};

} // namespace datapath
