// SPDX-License-Identifier: BSD-3-Clause
// A running datapath as DPDK's telemetry socket shows it: /pydpdk_defer/datapath, pmd, deferral, rxqs, txqs, ports,
// dma, mempools and in_flight_time.
//
// Answers are made on DPDK's telemetry thread, from counters that the threads have made public: no PMD thread waits for
// a look, and nor does the interpreter.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datapath/handoff_port.hpp"
#include "datapath/pmd_thread.hpp"
#include "datapath/port.hpp"
#include "defer/policies.hpp"
#include "dpdk/dma_device.hpp"
#include "dpdk/mempool.hpp"
#include "faults/dma_model.hpp"

namespace telemetry {

struct View {
    struct Port {
        std::shared_ptr<datapath::Port> port;
        std::string kind;
        std::vector<int> rxq_cores; // who polls each rxq; -1: nobody
    };
    // The way to a txq that another thread owns. `port` is nullptr where it is no more.
    struct Handoff {
        std::shared_ptr<datapath::Port> txq_port;
        std::uint16_t qid;
        std::shared_ptr<datapath::HandoffPort> port;
        std::uint64_t dropped_before; // by former ones of this txq
    };
    struct Dma {
        std::shared_ptr<dpdk::DmaDevice> device;
        std::shared_ptr<faults::DmaModel> model; // nullptr: none is laid over it
        std::string summary;                     // of the model
    };

    std::chrono::steady_clock::time_point up_since;
    bool hugepages = false;
    defer::DeferralConfig deferral;
    std::vector<std::shared_ptr<datapath::PmdThread>> pmds;
    std::vector<Port> ports;
    std::vector<Handoff> handoffs;
    std::vector<Dma> dma;
    std::vector<std::shared_ptr<dpdk::Mempool>> mempools;
};

// From now on answers are about this. Waits for an answer that is being made; hold no lock that one may need.
void show(View view);
// There is nothing to tell any more, and on return no answer uses what was shown.
void hide();

} // namespace telemetry
