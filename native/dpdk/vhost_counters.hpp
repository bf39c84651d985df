// SPDX-License-Identifier: BSD-3-Clause
// librte_vhost's own counters of a vring.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace dpdk {

// By librte_vhost's names, which differ between releases, without the queue in front ("good_packets"). Empty: there is
// no such device or vring. Takes the vring's lock for a moment.
std::vector<std::pair<std::string, std::uint64_t>> vring_counters(int vid, std::uint16_t vring);

} // namespace dpdk
