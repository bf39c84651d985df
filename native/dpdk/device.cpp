// SPDX-License-Identifier: BSD-3-Clause
// Devices on DPDK's buses.
#include "dpdk/device.hpp"

#include <cerrno>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>

namespace dpdk {
namespace {

// Only buses that can iterate are asked; a kernel-idxd work queue is on the "dsa" bus, which cannot.
rte_device* find_on_bus(const std::string& bus, const std::string& key, const std::string& name) {
    const std::string query = "bus=" + bus + "," + key + "=" + name;
    rte_dev_iterator iterator{};
    rte_errno = 0; // the iterator answers with what it finds there
    if (rte_dev_iterator_init(&iterator, query.c_str()) != 0) {
        return nullptr;
    }
    rte_device* found = rte_dev_iterator_next(&iterator);
    // Iterated to its end, as an iterator that is left half-way leaks.
    for (rte_device* next = found; next != nullptr; next = rte_dev_iterator_next(&iterator)) {
    }
    return found;
}

bool is_pci_address(const std::string& name) {
    return name.find(':') != std::string::npos && name.find('.') != std::string::npos;
}

rte_device* find_device(const std::string& name) {
    if (is_pci_address(name)) {
        return find_on_bus("pci", "addr", name.substr(0, name.find('-')));
    }
    return find_on_bus("vdev", "name", name);
}

} // namespace

std::string device_name(const std::string& spec) {
    return spec.substr(0, spec.find(','));
}

int probe_device(const std::string& spec) {
    const int result = rte_dev_probe(spec.c_str());
    return result == -EEXIST ? 0 : result;
}

void remove_device(const std::string& name) {
    if (rte_device* device = find_device(name); device != nullptr) {
        rte_dev_remove(device);
    }
}

DeviceIdentity identify_device(const std::string& name) {
    if (const rte_device* device = find_device(name); device != nullptr) {
        const rte_bus* bus = rte_dev_bus(device);
        const rte_driver* driver = rte_dev_driver(device);
        return {.bus = bus != nullptr ? rte_bus_name(bus) : "",
                .driver = driver != nullptr ? rte_driver_name(driver) : ""};
    }
    if (name.rfind("wq", 0) == 0) {
        return {.bus = "dsa", .driver = "dmadev_idxd"};
    }
    return {};
}

} // namespace dpdk
