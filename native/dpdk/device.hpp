// SPDX-License-Identifier: BSD-3-Clause
// Devices on DPDK's buses: bring one up by its name, and say which bus and driver it has.
#pragma once

#include <string>

namespace dpdk {

struct DeviceIdentity {
    std::string bus;    // "vdev", "pci", "dsa", or "" when the bus cannot say
    std::string driver; // e.g. "dma_skeleton"
};

// The name in a device text: "net_pcap0,rx_pcap=a.pcap" -> "net_pcap0".
std::string device_name(const std::string& spec);

// Probes "NAME[,ARGUMENTS]": a vdev, a PCI address or an idxd work queue. A device that is there already is
// left as it is. Returns 0, or a negative errno.
int probe_device(const std::string& spec);

// Takes the device off its bus; its ethdev or dmadev must be closed. Harmless when it is not there.
void remove_device(const std::string& name);

DeviceIdentity identify_device(const std::string& name);

} // namespace dpdk
