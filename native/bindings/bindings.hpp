// SPDX-License-Identifier: BSD-3-Clause
// The register functions of the extension module, one a concept.
//
// The GIL: released around everything that can wait (starting EAL, opening and closing ports, joining
// threads), and never held while a lock is taken that DPDK's threads use.
#pragma once

#include <pybind11/pybind11.h>

#include "defer/policies.hpp"

namespace bindings {

namespace py = pybind11;

// The options of the [deferral] table as keyword arguments.
[[nodiscard]] defer::DeferralConfig parse_deferral_config(const py::kwargs& options);

void register_errors(py::module_& m);
void register_eal(py::module_& m);
void register_deferral(py::module_& m);
void register_dma(py::module_& m);
void register_faults(py::module_& m);
void register_ports(py::module_& m);
void register_pmd(py::module_& m);
void register_guest(py::module_& m);

} // namespace bindings
