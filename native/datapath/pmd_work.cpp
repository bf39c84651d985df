// SPDX-License-Identifier: BSD-3-Clause
// What a PMD thread works on: its rxqs, its txqs, and which leads to which.
#include "datapath/pmd_work.hpp"

#include <stdexcept>

namespace datapath {

PmdWork::PmdWork(const PmdPlan& plan)
    : plan_(plan) {
    outputs.reserve(plan_.outputs.size());
    for (const auto& output : plan_.outputs) {
        if (output.port == nullptr || output.qid >= output.port->txq_count()) {
            throw std::invalid_argument("a PMD thread's plan names a txq that is not there");
        }
        outputs.push_back({.port = output.port.get(), .qid = output.qid, .target = {}, .batch = {}, .shares = {}});
    }
    std::vector<unsigned> leading_to(outputs.size());
    for (const auto& input : plan_.inputs) {
        if (input.port == nullptr || input.qid >= input.port->rxq_count() ||
            input.output >= static_cast<int>(outputs.size())) {
            throw std::invalid_argument("a PMD thread's plan names an rxq or an output that is not there");
        }
        Output* output = input.output < 0 ? nullptr : &outputs[static_cast<std::size_t>(input.output)];
        inputs.push_back({.port = input.port.get(),
                          .qid = input.qid,
                          .number = static_cast<std::uint16_t>(inputs.size()),
                          .output = output,
                          .from_outside = input.port->takes_from_outside(),
                          .load = {}});
        if (output != nullptr && ++leading_to[static_cast<std::size_t>(input.output)] == 2) {
            output->shared = true;
            shared_outputs.push_back(output);
        }
    }
}

void PmdWork::acquire(Owner& owner) {
    for (auto& input : inputs) {
        input.port->acquire_rxq(input.qid);
    }
    for (auto& output : outputs) {
        output.port->acquire_txq(output.qid, owner);
    }
}

void PmdWork::release() {
    for (auto& input : inputs) {
        input.port->release_rxq(input.qid);
    }
    for (auto& output : outputs) {
        output.port->release_txq(output.qid);
    }
}

} // namespace datapath
