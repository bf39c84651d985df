// SPDX-License-Identifier: BSD-3-Clause
// DPDK's own log: its last lines are kept for error texts, and copied to stderr when asked for.
#pragma once

#include <string>
#include <vector>

namespace dpdk::log {

// Redirects DPDK's log here. Called once, before rte_eal_init.
void capture();
// Copies each further line to stderr too.
void echo(bool on);
// Adds one line of our own. Callable from any thread that is not a PMD thread.
void add(const std::string& line);
// The last lines, oldest first, at most `count`.
std::vector<std::string> last_lines(std::size_t count);

} // namespace dpdk::log
