// SPDX-License-Identifier: BSD-3-Clause
// DPDK's own log and what we ourselves have to say: the last lines are kept for error texts, and all are kept as
// records for the control side to take.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dpdk::log {

// Redirects DPDK's log here. Called once, before rte_eal_init.
void capture();
// Adds one line of our own, to be found again.
void add(const std::string& line);
enum class Level : std::uint8_t { debug, info, warning, error, critical };
struct Record {
    Level level;
    bool from_dpdk; // else our own
    double time_s;  // since the Unix epoch
    std::string text;
};
// Says that something happened. Callable from any thread that is not a PMD thread.
void tell(Level level, const std::string& text);
// What was said since the last time, oldest first. Of very much the oldest of DPDK's is lost first, and that is said.
std::vector<Record> take_records();
// The last lines, oldest first, at most `count`.
std::vector<std::string> last_lines(std::size_t count);

} // namespace dpdk::log
