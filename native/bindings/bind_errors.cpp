// SPDX-License-Identifier: BSD-3-Clause
// dpdk::Error as the exceptions of pydpdk_defer.errors.
#include "bindings.hpp"

#include "dpdk/error.hpp"

namespace bindings {
namespace {

const char* class_name(dpdk::ErrorKind kind) {
    switch (kind) {
    case dpdk::ErrorKind::eal:
        return "EalError";
    case dpdk::ErrorKind::dma:
        return "DmaError";
    case dpdk::ErrorKind::vhost:
        return "VhostError";
    case dpdk::ErrorKind::port:
        break;
    }
    return "DeferError";
}

} // namespace

void register_errors(py::module_& m) {
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const dpdk::Error& error) {
            const py::object type = py::module_::import("pydpdk_defer.errors").attr(class_name(error.kind()));
            const py::object value = type(error.what(), error.error_number(), error.hint());
            PyErr_SetObject(type.ptr(), value.ptr());
        }
    });
    (void)m;
}

} // namespace bindings
