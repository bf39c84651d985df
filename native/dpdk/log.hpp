// SPDX-License-Identifier: BSD-3-Clause
// DPDK's own log: its last lines are kept for error texts, and copied to stderr when asked for. And what we ourselves
// have to say, for the control side to take.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dpdk::log {

// Redirects DPDK's log here. Called once, before rte_eal_init.
void capture();
// Copies each further line to stderr too.
void echo(bool on);
// Adds one line of our own, to be found again.
void add(const std::string& line);
enum class Level : std::uint8_t { info, warning };
struct Event {
    Level level;
    std::string text;
};
// Says that something happened. Callable from any thread that is not a PMD thread.
void tell(Level level, const std::string& text);
// What was said since the last time, oldest first. Of very much the oldest is lost.
std::vector<Event> take_events();
// The last lines, oldest first, at most `count`.
std::vector<std::string> last_lines(std::size_t count);

} // namespace dpdk::log
