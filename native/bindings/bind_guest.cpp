// SPDX-License-Identifier: BSD-3-Clause
// The guest's receive loop.
#include "bindings.hpp"

namespace bindings {

void register_guest(py::module_& m) {
    (void)m;
}

} // namespace bindings
