// SPDX-License-Identifier: BSD-3-Clause
// What a modelled DMA device is to be like: as people give it, and in cycles as a channel uses it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace faults {

// Every number 0: nothing is changed. Copies are counted on each channel by itself, from 1, anew with every
// set of parameters.
struct ModelParameters {
    double latency_us = 0;
    double copy_cost_ns = 0;       // what each copy takes of the core that asks for it, beside the device's own driver
    double bandwidth_gb_per_s = 0; // 10^9 bytes; 0: no limit
    double lump_us = 0;            // completions appear at multiples of it
    std::uint32_t capacity = 0;    // copies outstanding; 0: as the ring
    std::uint64_t stall_at_copy = 0;
    double stall_ms = 0;
    bool stall_repeat = false; // again every stall_at_copy copies
    std::uint64_t full_at_copy = 0;
    double full_ms = 0;
    bool full_repeat = false;
    std::uint64_t hang_at_copy = 0;
    std::uint64_t error_every = 0;
};

struct ModelCycles {
    static constexpr std::uint64_t never = UINT64_MAX;

    std::uint64_t latency = 0;
    std::uint64_t copy_cost = 0;
    double per_byte = 0;
    std::uint64_t lump = 0;
    std::uint32_t limit = 0; // copies outstanding
    std::uint64_t stall_at = never;
    std::uint64_t stall = 0;
    std::uint64_t stall_again = never; // copies from one stall to the next
    std::uint64_t full_at = never;
    std::uint64_t full = 0;
    std::uint64_t full_again = never;
    std::uint64_t hang_at = never;
    std::uint64_t error_every = never;
};

// `most`: copies outstanding at most, whatever `capacity` says.
inline ModelCycles in_cycles(const ModelParameters& given, std::uint64_t clock_hz, std::uint32_t most) {
    const auto hz = static_cast<double>(clock_hz);
    const auto cycles = [hz](double value, double unit) { return static_cast<std::uint64_t>(value * unit * hz); };
    const auto or_never = [](std::uint64_t copy) { return copy != 0 ? copy : ModelCycles::never; };
    ModelCycles model;
    model.latency = cycles(given.latency_us, 1e-6);
    model.copy_cost = cycles(given.copy_cost_ns, 1e-9);
    model.per_byte = given.bandwidth_gb_per_s > 0 ? hz / (given.bandwidth_gb_per_s * 1e9) : 0;
    model.lump = cycles(given.lump_us, 1e-6);
    model.limit = given.capacity != 0 ? std::min(given.capacity, most) : most;
    model.stall_at = or_never(given.stall_at_copy);
    model.stall = cycles(given.stall_ms, 1e-3);
    model.stall_again = given.stall_repeat ? model.stall_at : ModelCycles::never;
    model.full_at = or_never(given.full_at_copy);
    model.full = cycles(given.full_ms, 1e-3);
    model.full_again = given.full_repeat ? model.full_at : ModelCycles::never;
    model.hang_at = or_never(given.hang_at_copy);
    model.error_every = or_never(given.error_every);
    return model;
}

} // namespace faults
