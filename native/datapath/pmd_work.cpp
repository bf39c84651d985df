// SPDX-License-Identifier: BSD-3-Clause
// What a PMD thread works on: its rxqs, its txqs, and which leads to which.
#include "datapath/pmd_work.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "datapath/handoff_port.hpp"

namespace datapath {

PmdWork::PmdWork(const PmdPlan& plan, const defer::DeferralConfig& config, Owner& owner)
    : deferral(config, owner)
    , plan_(plan)
    , owner_(owner)
    , flush_interval_cycles_(static_cast<std::uint64_t>(plan.tx_flush_interval_us * config.ticks_per_us)) {
    add_outputs();
    add_inputs();
    for (auto& output : outputs) {
        if (output.gathers) {
            gathering_outputs.push_back(&output);
        }
    }
    // A thread that sleeps has turns so far apart that an rxq which rests would be polled late.
    order.set(inputs, plan.sleep_max_us == 0);
    deferral.set_rxqs(inputs.size());
    add_targets();
}

void PmdWork::add_outputs() {
    outputs.reserve(plan_.outputs.size());
    for (const auto& planned : plan_.outputs) {
        if (planned.port == nullptr || planned.qid >= planned.port->txq_count()) {
            throw std::invalid_argument("a PMD thread's plan names a txq that is not there");
        }
        const bool bridged = planned.bridge_port >= 0;
        outputs.push_back({.port = planned.port.get(),
                           .qid = planned.qid,
                           .gathers = bridged || flush_interval_cycles_ > 0,
                           .captured = planned.captured.get(),
                           .target = {},
                           .batch = {},
                           .shares = {}});
        if (bridged) {
            const auto number = static_cast<std::size_t>(planned.bridge_port);
            bridge_outputs.resize(std::max(bridge_outputs.size(), number + 1));
            bridge_outputs[number] = &outputs.back();
        }
    }
}

void PmdWork::add_inputs() {
    std::vector<unsigned> leading_to(outputs.size());
    for (const auto& planned : plan_.inputs) {
        if (planned.port == nullptr || planned.qid >= planned.port->rxq_count() ||
            planned.output >= static_cast<int>(outputs.size()) ||
            (planned.bridge_port >= 0 && plan_.bridge == nullptr)) {
            throw std::invalid_argument("a PMD thread's plan names an rxq, an output or a bridge that is not there");
        }
        Output* output = planned.output < 0 ? nullptr : &outputs[static_cast<std::size_t>(planned.output)];
        auto* const relay = dynamic_cast<RelayPort*>(planned.port.get());
        if (output != nullptr && relay == nullptr && ++leading_to[static_cast<std::size_t>(planned.output)] == 2) {
            output->gathers = true;
        }
        inputs.push_back({.port = planned.port.get(),
                          .qid = planned.qid,
                          .number = static_cast<std::uint16_t>(inputs.size()),
                          .output = relay == nullptr ? output : nullptr,
                          .bridge_port = planned.bridge_port,
                          .captured = planned.captured.get(),
                          .from_outside = planned.port->takes_from_outside(),
                          .is_handoff = dynamic_cast<const HandoffPort*>(planned.port.get()) != nullptr,
                          .load = {},
                          .can_rest = planned.port->packets_can_wait(),
                          .relay = relay,
                          .relayed_to = relay == nullptr ? nullptr : output});
    }
}

bool PmdWork::has_pending() const {
    return deferral.pending() > 0 || std::any_of(gathering_outputs.begin(), gathering_outputs.end(),
                                                 [](const Output* output) { return output->batch.count > 0; });
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
