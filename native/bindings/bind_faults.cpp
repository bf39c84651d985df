// SPDX-License-Identifier: BSD-3-Clause
// Models of DMA devices.
#include <memory>

#include "bindings.hpp"
#include "faults/dma_model.hpp"

namespace bindings {
namespace {

// By the names of the topology's keys.
faults::ModelParameters parse_parameters(const py::dict& given) {
    return {.latency_us = given["latency_us"].cast<double>(),
            .copy_cost_ns = given["copy_cost_ns"].cast<double>(),
            .bandwidth_gb_per_s = given["bandwidth_gb_per_s"].cast<double>(),
            .lump_us = given["lump_us"].cast<double>(),
            .capacity = given["capacity"].cast<std::uint32_t>(),
            .stall_at_copy = given["stall_at_copy"].cast<std::uint64_t>(),
            .stall_ms = given["stall_ms"].cast<double>(),
            .stall_repeat = given["stall_repeat"].cast<bool>(),
            .full_at_copy = given["full_at_copy"].cast<std::uint64_t>(),
            .full_ms = given["full_ms"].cast<double>(),
            .full_repeat = given["full_repeat"].cast<bool>(),
            .hang_at_copy = given["hang_at_copy"].cast<std::uint64_t>(),
            .error_every = given["error_every"].cast<std::uint64_t>()};
}

} // namespace

void register_faults(py::module_& m) {
    using Model = faults::DmaModel;
    py::class_<Model, std::shared_ptr<Model>>(m, "DmaModel")
        .def(py::init([](dpdk::DmaDevice& device, const py::dict& parameters) {
                 auto model = std::make_shared<Model>(device, parse_parameters(parameters));
                 device.keep(model);
                 return model;
             }),
             py::arg("device"), py::arg("parameters"))
        .def(
            "set",
            [](Model& self, const py::dict& given) {
                const auto parameters = parse_parameters(given);
                const py::gil_scoped_release release; // it may wait for a PMD thread in the middle of a copy
                self.set(parameters);
            },
            py::arg("parameters"))
        .def("stats", [](const Model& self) {
            DictRecord record;
            record.add("model_changes", self.changes());
            add_fields(record, self.stats());
            return record.dict;
        });
}

} // namespace bindings
