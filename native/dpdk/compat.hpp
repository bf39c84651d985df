// SPDX-License-Identifier: BSD-3-Clause
// Everything that differs between the supported DPDK releases, 22.11 to 25.11, and nothing else.
#pragma once

#include <string>

#include <rte_dmadev.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "DPDK 22.11 or newer is needed (Debian: libdpdk-dev)"
#endif

namespace dpdk {

// The release these sources were compiled against, as rte_version() would print it, without its prefix.
inline std::string compiled_version() {
    std::string version = std::to_string(RTE_VER_YEAR) + "." + (RTE_VER_MONTH < 10 ? "0" : "") +
                          std::to_string(RTE_VER_MONTH) + "." + std::to_string(RTE_VER_MINOR);
    return version;
}

// A zero-initialised device configuration asks for no optional feature in every release: `enable_silent`
// (to 25.07) and `flags` (from 25.11) are both 0.
inline rte_dma_conf dma_conf(uint16_t vchans) {
    rte_dma_conf conf{};
    conf.nb_vchans = vchans;
    return conf;
}

// Whole numbers in telemetry got other names in 23.03.
inline int telemetry_add_u64(rte_tel_data* data, const char* name, uint64_t value) {
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
    return rte_tel_data_add_dict_u64(data, name, value);
#else
    return rte_tel_data_add_dict_uint(data, name, value);
#endif
}

inline int telemetry_append_u64(rte_tel_data* data, uint64_t value) {
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
    return rte_tel_data_add_array_u64(data, value);
#else
    return rte_tel_data_add_array_uint(data, value);
#endif
}

} // namespace dpdk
