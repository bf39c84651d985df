// SPDX-License-Identifier: BSD-3-Clause
// librte_vhost's own counters of a vring.
#include "dpdk/vhost_counters.hpp"

#include <algorithm>

#include <rte_vhost.h>

namespace dpdk {
namespace {

// "rx_q0_good_packets" -> "good_packets"
std::string without_queue(const std::string& name) {
    const auto queue = name.find("_q");
    const auto rest = queue == std::string::npos ? queue : name.find('_', queue + 1);
    return rest == std::string::npos ? name : name.substr(rest + 1);
}

} // namespace

std::vector<std::pair<std::string, std::uint64_t>> vring_counters(int vid, std::uint16_t vring) {
    std::vector<std::pair<std::string, std::uint64_t>> counters;
    const int count = vid < 0 ? 0 : rte_vhost_vring_stats_get_names(vid, vring, nullptr, 0);
    if (count <= 0) {
        return counters;
    }
    std::vector<rte_vhost_stat_name> names(static_cast<std::size_t>(count));
    std::vector<rte_vhost_stat> values(names.size());
    const auto size = static_cast<unsigned>(count);
    if (rte_vhost_vring_stats_get_names(vid, vring, names.data(), size) != count ||
        rte_vhost_vring_stats_get(vid, vring, values.data(), size) != count) {
        return counters;
    }
    for (const rte_vhost_stat& value : values) {
        counters.emplace_back(without_queue(names.at(value.id).name), value.value);
    }
    return counters;
}

} // namespace dpdk
