// SPDX-License-Identifier: BSD-3-Clause
// EAL: the one place that starts and ends it.
//
// rte_eal_init works once a process, and never again after rte_eal_cleanup; a second start is an error. All
// functions are for the control side (one thread at a time).
#pragma once

#include <string>
#include <vector>

namespace dpdk {

struct EalOptions {
    unsigned memory_mb = 512;
    bool hugepages = false;
    bool share_memory = false; // another process maps our memory (a virtio-user guest): few and file-backed regions
    bool telemetry = true;
    bool pci = false;
    std::vector<std::string> allowed_devices; // PCI addresses: only these are probed
    std::vector<int> control_cpus;            // where EAL's own threads may run; the first is the main lcore
    std::string file_prefix;                  // unique on this host among the running DPDK processes
    std::vector<std::string> extra_args;
};

class Eal {
  public:
    // Starts EAL. The caller's CPU affinity is the same afterwards. Throws Error with DPDK's own last words.
    static void start(const EalOptions& options);
    // Ends EAL and removes its runtime folder. All devices must be closed. Harmless when not running.
    static void stop();
    [[nodiscard]] static bool running();
    [[nodiscard]] static std::string runtime_dir();
    // The release that is loaded, e.g. "22.11.11".
    [[nodiscard]] static std::string loaded_version();
    // The arguments EAL was started with.
    [[nodiscard]] static const std::vector<std::string>& arguments();
};

} // namespace dpdk
