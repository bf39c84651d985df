// SPDX-License-Identifier: BSD-3-Clause
// copy = "auto": which engine is to copy the next batch of a txq.
//
// A copy by DMA costs the thread the same whatever its size, a copy by the CPU more with every byte; so from some size
// on DMA is cheaper. Where that is depends on machine, device, load and guest, and is learned here: cycles per packet
// of both engines, in cells of like mean size and like number of packets in a batch. Once in a while a short trial asks
// whether the other engine has become the cheaper one, more and more rarely while the answer stays the same,
// and soon again when the engine in use costs something else than it did then.
//
// While copies by DMA are back before the next batch comes, each batch is chosen for by itself. Else the engine goes by
// the packets of late: what comes after a copy in flight has to follow it by DMA, or to wait for it.
//
// One owner thread, nothing atomic, no DPDK.
#pragma once

#include <array>
#include <cstdint>

#include "datapath/statistics.hpp"

namespace datapath {

class CopyChoice {
  public:
    // `min_bytes`: the mean size from which on DMA copies; 0: it is learned.
    void configure(std::uint32_t min_bytes, double ticks_per_us);

    // From now on it is asked. All went by DMA before, as far as it knows.
    void begin() { cold_buffers_ = most_cold_buffers; }
    // For the next batch. When it is the CPU though something is in flight, that has to be finished first, and is worth
    // the wait.
    [[nodiscard]] Engine choose(std::uint32_t packets, std::uint64_t bytes, bool in_flight, std::uint64_t now);
    // How long the wait was; or it was in vain.
    void waited(std::uint64_t ticks, std::uint64_t now);
    void stays_on_dma(std::uint64_t ticks, std::uint64_t now);

    // ---- what things cost the thread, in ticks ----
    // A whole batch was copied, or handed to the DMA device.
    void sent(Engine engine, std::uint32_t packets, std::uint64_t bytes, std::uint64_t ticks);
    // A check brought so many packets back; or none.
    void finished(std::uint32_t packets, std::uint64_t ticks);
    void checked_in_vain(std::uint64_t ticks);

    // The smallest mean size from which on DMA is known to be cheaper, in bytes; 0: for none yet. As given, if it was.
    [[nodiscard]] std::uint32_t min_bytes() const;
    // From one engine to the other and back are two.
    [[nodiscard]] std::uint64_t changes() const { return changes_; }

  private:
    static constexpr unsigned size_classes = 40;             // four an octave, from 16 bytes on
    static constexpr unsigned load_classes = 6;              // packets of a batch: 1, 2, 4, 8, 16, 32
    static constexpr std::uint32_t most_cold_buffers = 8192; // of a guest
    static constexpr std::uint64_t buffer_bytes = 2048;

    struct Cell {
        std::array<float, 2> cost{}; // ticks per packet by engine, of sends alone
        std::array<std::uint8_t, 2> samples{};
        std::array<float, 2> steady_cost{};   // as `cost`, but slow to follow
        std::array<float, 2> cost_at_trial{}; // what was learned of the one holds as long as the other costs the same
        std::uint64_t trial_gap = 0;          // ticks until the next trial of the other engine
        std::uint64_t last_trial = 0;
        std::uint32_t since_trial = 0; // batches
    };

    [[nodiscard]] static unsigned size_class(std::uint64_t bytes);
    [[nodiscard]] static std::uint32_t smallest_of(unsigned size_class);
    [[nodiscard]] static unsigned load_class(std::uint32_t packets);
    [[nodiscard]] Cell& cell_of(std::uint64_t mean_bytes, std::uint32_t packets) {
        return cells_[load_class(packets)][size_class(mean_bytes)];
    }
    [[nodiscard]] static bool is_known(const Cell& cell);
    using Costs = std::array<float, 2>; // by engine
    // Ticks per packet, sends and checks; zeros: nothing is known.
    [[nodiscard]] Costs costs_of(const Cell& cell, unsigned load) const;
    [[nodiscard]] Costs costs_of(std::uint64_t mean_bytes, std::uint32_t packets) const;
    // `in_use` unless the other is cheaper by a margin.
    [[nodiscard]] static Engine cheaper(const Costs& costs, Engine in_use);
    void consider(Cell& cell, std::uint64_t now);
    [[nodiscard]] bool trial_is_due(Cell& cell, std::uint64_t now) const;
    void begin_trial(Cell& cell, std::uint64_t now);
    // A batch was sent. True: it only warmed the caches, and what it cost is no measure of the engine.
    [[nodiscard]] bool warms_up(Engine engine, std::uint32_t packets, std::uint64_t bytes);
    void end_trial(std::uint64_t now);
    [[nodiscard]] std::uint64_t shortest_trial_gap() const;
    void go_over(Engine engine, std::uint64_t now);

    std::uint32_t given_ = 0;
    double ticks_per_us_ = 1;
    Engine mode_ = Engine::cpu;      // by the packets of late
    Engine last_ = Engine::cpu;      // of the last batch
    float overlap_ = 0;              // how often the batch after one by DMA finds that in flight
    Cell* on_trial_ = nullptr;       // what the mode is on trial for; nullptr: it is not
    unsigned trial_batches_ = 0;     // so far
    std::uint32_t cold_buffers_ = 0; // that DMA wrote since the CPU did
    std::uint64_t next_change_ = 0;
    std::uint64_t next_wait_ = 0; // and a change that may have to wait
    std::uint64_t changes_ = 0;
    Costs recent_{};           // ticks a batch, of late
    float recent_packets_ = 0; // a batch
    std::array<std::array<Cell, size_classes>, load_classes> cells_{};
    std::array<float, load_classes> finish_cost_{}; // ticks per packet, of checks
    std::uint64_t vain_ticks_ = 0;
    bool may_be_vain_ = false;
};

} // namespace datapath
