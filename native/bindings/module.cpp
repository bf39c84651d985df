// SPDX-License-Identifier: BSD-3-Clause
// The extension module pydpdk_defer._native: registers what the other files bind.
#include "bindings.hpp"

PYBIND11_MODULE(_native, m) {
    m.doc() = "Native part of pydpdk_defer. Private: use the classes of the package pydpdk_defer.";
    bindings::register_errors(m);
    bindings::register_eal(m);
    bindings::register_deferral(m);
    bindings::register_dma(m);
    bindings::register_faults(m);
    bindings::register_ports(m);
    bindings::register_forwarding(m);
    bindings::register_pmd(m);
    bindings::register_telemetry(m);
    bindings::register_guest(m);
}
