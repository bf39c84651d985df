// SPDX-License-Identifier: BSD-3-Clause
// The register functions of the extension module, one a concept.
//
// The GIL: released around everything that can wait (starting EAL, opening and closing ports, joining
// threads), and never held while a lock is taken that DPDK's threads use.
#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "datapath/pmd_work.hpp"
#include "datapath/stat_fields.hpp"
#include "defer/policies.hpp"
#include "dpdk/dma_device.hpp"

namespace bindings {

namespace py = pybind11;

// The options of the [deferral] table as keyword arguments.
[[nodiscard]] defer::DeferralConfig parse_deferral_config(const py::kwargs& options);

// A txq that packets leave by: port, qid, channels to copy with (device, index), port of the bridge or -1, capture or
// None.
using Channels = std::vector<std::pair<std::shared_ptr<dpdk::DmaDevice>, std::uint16_t>>;
using Output =
    std::tuple<std::shared_ptr<datapath::Port>, std::uint16_t, Channels, int, std::shared_ptr<datapath::Capture>>;
[[nodiscard]] datapath::PmdPlan::Output plan_output(const Output& output);

// A dictionary that add_fields() fills.
struct DictRecord {
    py::dict dict;

    void add(const char* name, std::uint64_t value) { dict[name] = value; }
    void add(const char* name, datapath::NamedCounts counts) {
        py::dict group;
        for (const auto& [key, count] : counts) {
            group[py::str(key.data(), key.size())] = count;
        }
        dict[name] = group;
    }
};

void register_errors(py::module_& m);
void register_eal(py::module_& m);
void register_deferral(py::module_& m);
void register_dma(py::module_& m);
void register_faults(py::module_& m);
void register_ports(py::module_& m);
void register_forwarding(py::module_& m);
void register_pmd(py::module_& m);
void register_telemetry(py::module_& m);
void register_guest(py::module_& m);

} // namespace bindings
