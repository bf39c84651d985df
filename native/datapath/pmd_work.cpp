// SPDX-License-Identifier: BSD-3-Clause
// What a PMD thread works on: its rxqs, its txqs, and which leads to which.
#include "datapath/pmd_work.hpp"

#include <map>
#include <stdexcept>

namespace datapath {

PmdWork::PmdWork(const PmdPlan& plan, const defer::DeferralConfig& config, Owner& owner)
    : deferral(config, owner)
    , plan_(plan)
    , owner_(owner) {
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
    deferral.set_rxqs(inputs.size());
    add_targets();
}

// Txqs that share a channel share what is learned of it.
void PmdWork::add_targets() {
    std::map<const void*, std::uint16_t> channels{{nullptr, std::uint16_t{0}}};
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Output& output = outputs[i];
        const defer::WorkFunc work_func = output.port->work_func();
        if (work_func == nullptr) {
            continue;
        }
        const DmaChannels& copiers = plan_.outputs[i].channels;
        const void* channel = copiers.empty() ? nullptr : copiers.front();
        if (!channels.contains(channel)) {
            channels[channel] = deferral.add_channel();
        }
        output.can_defer = true;
        output.target = deferral.add_target(work_func, output.port, output.qid, channels[channel]);
    }
}

void PmdWork::acquire() {
    for (auto& input : inputs) {
        input.port->acquire_rxq(input.qid);
    }
    for (const auto& output : plan_.outputs) {
        output.port->acquire_txq(output.qid, owner_, output.channels);
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
