// SPDX-License-Identifier: BSD-3-Clause
// The control side's way to a txq that a PMD thread owns.
#include "datapath/relay_port.hpp"

#include <thread>

#include <rte_cycles.h>

namespace datapath {
namespace {

constexpr unsigned patience_ms = 100;

} // namespace

int RelayPort::send(std::uint16_t /*qid*/, Batch& batch, Sent& sent) {
    const std::uint16_t offered = batch.count;
    const std::uint64_t deadline = rte_rdtsc() + rte_get_tsc_hz() / 1000 * patience_ms;
    given_back_.store(false, std::memory_order_relaxed);
    lent_.store(&batch, std::memory_order_release);
    while (!given_back_.load(std::memory_order_acquire)) {
        Batch* expected = &batch;
        if (rte_rdtsc() > deadline && lent_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed)) {
            break; // the thread is kept by something, and has not seen it
        }
        std::this_thread::yield();
    }
    sent.handed_over += offered - batch.count;
    return 0;
}

} // namespace datapath
