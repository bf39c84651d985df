// SPDX-License-Identifier: BSD-3-Clause
// DMA devices.
#include <memory>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "dpdk/dma_device.hpp"

namespace bindings {

void register_dma(py::module_& m) {
    using Device = dpdk::DmaDevice;
    py::class_<Device, std::shared_ptr<Device>>(m, "DmaDevice")
        .def(py::init<std::string, const std::string&, std::uint16_t>(), py::kw_only(), py::arg("name"),
             py::arg("spec"), py::arg("ring_size"), py::call_guard<py::gil_scoped_release>())
        .def("stop", &Device::stop, py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("name", &Device::name)
        .def_property_readonly("device", &Device::device)
        .def_property_readonly("dev_id", [](Device& self) { return self.channel(0).dev_id; })
        .def_property_readonly("driver", &Device::driver)
        .def_property_readonly("is_hardware", &Device::is_hardware)
        .def_property_readonly("ring_size", &Device::ring_size)
        .def_property_readonly("channels", &Device::channel_count)
        .def_property_readonly("numa_node", &Device::numa_node)
        .def_property_readonly("out_of_use", &Device::out_of_use)
        .def("stats", [](const Device& self) {
            DictRecord record;
            add_fields(record, self.stats());
            return record.dict;
        });
}

} // namespace bindings
