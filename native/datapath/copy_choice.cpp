// SPDX-License-Identifier: BSD-3-Clause
// copy = "auto": which engine is to copy the next batch of a txq.
#include "datapath/copy_choice.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace datapath {
namespace {

constexpr float margin = 1.0F / 32;    // that an engine has to be cheaper by, to be changed to
constexpr float smoothing = 1.0F / 16; // of costs, per batch
constexpr float slow_smoothing = 1.0F / 256;
constexpr float recency = 1.0F / 32;         // of mean size and load, per batch
constexpr float overlap_recency = 1.0F / 16; // per batch that follows one by DMA
constexpr float overlap_forgetting = 1.0F / 4096;
constexpr float rare_overlap = 1.0F / 8;
constexpr unsigned first_samples = 4; // of which the smallest counts: the caches are cold, a CPU may be taken away
constexpr unsigned trial_length = 32; // batches
constexpr unsigned longest_trial = 256;
constexpr unsigned batches_between_trials = 256 * trial_length;
constexpr float changed_cost = 1.25F; // times as much, or as little
constexpr double shortest_stay_us = 10'000;
constexpr double shortest_trial_gap_us = 20'000;
constexpr double longest_trial_gap_us = 10'000'000;
constexpr std::uint64_t stay_per_wait = 128; // a wait for a change costs less than 1 % of the time

std::size_t index(Engine engine) {
    return static_cast<std::size_t>(engine);
}
Engine other(Engine engine) {
    return engine == Engine::dma ? Engine::cpu : Engine::dma;
}

} // namespace

unsigned CopyChoice::size_class(std::uint64_t bytes) {
    const auto limited = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(bytes, 16, 16383));
    const auto octave = static_cast<unsigned>(std::bit_width(limited)) - 1; // 4 to 13
    return std::min((octave - 4) * 4 + ((limited >> (octave - 2)) & 3), size_classes - 1);
}

std::uint32_t CopyChoice::smallest_of(unsigned size_class) {
    return (4 + size_class % 4) << (2 + size_class / 4);
}

unsigned CopyChoice::load_class(std::uint32_t packets) {
    return std::min(static_cast<unsigned>(std::bit_width(packets | 1U)) - 1, load_classes - 1);
}

void CopyChoice::configure(std::uint32_t min_bytes, double ticks_per_us) {
    given_ = min_bytes;
    ticks_per_us_ = ticks_per_us;
}

Engine CopyChoice::choose(std::uint32_t packets, std::uint64_t bytes, bool in_flight, std::uint64_t now) {
    const std::uint64_t mean_bytes = bytes / std::max(packets, 1U);
    const Costs costs = costs_of(mean_bytes, packets);
    recent_packets_ += recency * (static_cast<float>(packets) - recent_packets_);
    for (const Engine engine : {Engine::dma, Engine::cpu}) {
        float& recent = recent_[index(engine)];
        recent += (recent == 0 ? 1.0F : recency) * (costs[index(engine)] * static_cast<float>(packets) - recent);
    }
    if (now >= next_change_) {
        consider(cell_of(mean_bytes, packets), now);
    }
    if (last_ == Engine::dma) {
        overlap_ += overlap_recency * ((in_flight ? 1.0F : 0.0F) - overlap_);
    } else {
        overlap_ -= overlap_ * overlap_forgetting;
    }
    const bool one_by_one = overlap_ < rare_overlap;
    const Engine before = last_;
    if (on_trial_ != nullptr || !(one_by_one || (mode_ == Engine::dma && !in_flight))) {
        last_ = mode_;
    } else if (in_flight) {
        last_ = Engine::dma; // it follows
    } else {
        last_ = cheaper(costs, mode_); // for this batch alone
    }
    changes_ += last_ != before;
    return last_;
}

void CopyChoice::consider(Cell& cell, std::uint64_t now) {
    if (on_trial_ != nullptr) {
        end_trial(now);
        return;
    }
    const Engine wanted = cheaper(recent_, mode_);
    if (wanted != mode_) {
        if (wanted == Engine::dma || now >= next_wait_) {
            go_over(wanted, now);
        }
    } else if (now >= next_wait_ && trial_is_due(cell, now)) {
        begin_trial(cell, now);
    }
}

void CopyChoice::begin_trial(Cell& cell, std::uint64_t now) {
    on_trial_ = &cell;
    trial_batches_ = 0;
    go_over(other(mode_), now);
    next_change_ = now;
}

// What DMA wrote is in no cache of this thread's core, so the CPU's first time around a guest's buffers costs up to
// twice as much as the next.
bool CopyChoice::warms_up(Engine engine, std::uint32_t packets, std::uint64_t bytes) {
    const auto buffers = packets + static_cast<std::uint32_t>(bytes / buffer_bytes);
    if (engine == Engine::dma) {
        cold_buffers_ = std::min(cold_buffers_ + buffers, most_cold_buffers);
        return false;
    }
    const bool cold = cold_buffers_ > 0;
    cold_buffers_ -= std::min(cold_buffers_, buffers);
    return cold && mode_ == Engine::cpu; // else they take turns, and that is what it costs
}

bool CopyChoice::trial_is_due(Cell& cell, std::uint64_t now) const {
    if (given_ > 0 || cell.samples[index(mode_)] < trial_length) {
        return false;
    }
    if (cell.trial_gap == 0) {
        return true;
    }
    const auto [least, most] = std::minmax(cell.steady_cost[index(mode_)], cell.cost_at_trial[index(mode_)]);
    if (most > changed_cost * least) {
        cell.trial_gap = shortest_trial_gap();
    }
    return cell.since_trial >= batches_between_trials && now - cell.last_trial >= cell.trial_gap;
}

void CopyChoice::end_trial(std::uint64_t now) {
    const bool answered = trial_batches_ >= trial_length && is_known(*on_trial_);
    if (!answered && trial_batches_ < longest_trial) {
        return;
    }
    Cell& cell = *std::exchange(on_trial_, nullptr);
    const Engine before = other(mode_);
    const auto longest = static_cast<std::uint64_t>(longest_trial_gap_us * ticks_per_us_);
    cell.trial_gap = std::clamp(2 * cell.trial_gap, shortest_trial_gap(), longest);
    cell.last_trial = now;
    cell.since_trial = 0;
    cell.cost_at_trial = cell.steady_cost;
    go_over(before, now);
    recent_ = {}; // by what is known now
}

std::uint64_t CopyChoice::shortest_trial_gap() const {
    return static_cast<std::uint64_t>(shortest_trial_gap_us * ticks_per_us_);
}

void CopyChoice::go_over(Engine engine, std::uint64_t now) {
    mode_ = engine;
    next_change_ = now + static_cast<std::uint64_t>(shortest_stay_us * ticks_per_us_);
}

void CopyChoice::waited(std::uint64_t ticks, std::uint64_t now) {
    overlap_ = 1;
    next_wait_ = now + stay_per_wait * ticks;
}

void CopyChoice::stays_on_dma(std::uint64_t ticks, std::uint64_t now) {
    mode_ = Engine::dma;
    on_trial_ = nullptr;
    waited(ticks, now);
}

void CopyChoice::sent(Engine engine, std::uint32_t packets, std::uint64_t bytes, std::uint64_t ticks) {
    may_be_vain_ = engine == Engine::dma;
    Cell& cell = cell_of(bytes / packets, packets);
    ++cell.since_trial;
    if (warms_up(engine, packets, bytes)) {
        return;
    }
    if (on_trial_ != nullptr && engine == mode_) {
        ++trial_batches_;
    }
    const float now = static_cast<float>(ticks) / static_cast<float>(packets);
    float& cost = cell.cost[index(engine)];
    std::uint8_t& samples = cell.samples[index(engine)];
    if (samples < first_samples) {
        cost = samples == 0 ? now : std::min(cost, now);
    } else {
        cost += smoothing * (std::min(now, 4 * cost) - cost);
    }
    float& steady = cell.steady_cost[index(engine)];
    steady = samples < first_samples ? cost : steady + slow_smoothing * (cost - steady);
    if (samples < trial_length) {
        ++samples;
    }
}

void CopyChoice::finished(std::uint32_t packets, std::uint64_t ticks) {
    float& cost = finish_cost_[load_class(static_cast<std::uint32_t>(recent_packets_ + 0.5F))];
    const float now = static_cast<float>(ticks + vain_ticks_) / static_cast<float>(packets);
    vain_ticks_ = 0;
    cost += cost == 0 ? now : smoothing * (std::min(now, 4 * cost) - cost);
}

// One check follows a send in the same turn of the loop; those after it take time that is nobody's.
void CopyChoice::checked_in_vain(std::uint64_t ticks) {
    if (may_be_vain_) {
        vain_ticks_ += ticks;
        may_be_vain_ = false;
    }
}

bool CopyChoice::is_known(const Cell& cell) {
    return cell.samples[0] >= first_samples && cell.samples[1] >= first_samples;
}

CopyChoice::Costs CopyChoice::costs_of(const Cell& cell, unsigned load) const {
    return {cell.cost[index(Engine::dma)] + finish_cost_[load], cell.cost[index(Engine::cpu)]};
}

// By the nearest size that both engines are known at.
CopyChoice::Costs CopyChoice::costs_of(std::uint64_t mean_bytes, std::uint32_t packets) const {
    if (given_ > 0) {
        // So far to the one side or the other that no margin is in the way of a size that was given.
        const float side = mean_bytes >= given_ ? 1 - 2 * margin : 1 + 2 * margin;
        return {side * static_cast<float>(given_), static_cast<float>(mean_bytes)};
    }
    const unsigned load = load_class(packets);
    const auto& row = cells_[load];
    const unsigned here = size_class(mean_bytes);
    for (unsigned distance = 0; distance < size_classes; ++distance) {
        if (here >= distance && is_known(row[here - distance])) {
            return costs_of(row[here - distance], load);
        }
        if (here + distance < size_classes && is_known(row[here + distance])) {
            return costs_of(row[here + distance], load);
        }
    }
    return {};
}

Engine CopyChoice::cheaper(const Costs& costs, Engine in_use) {
    return costs[index(other(in_use))] * (1 + margin) < costs[index(in_use)] ? other(in_use) : in_use;
}

std::uint32_t CopyChoice::min_bytes() const {
    if (given_ > 0) {
        return given_;
    }
    const unsigned load = load_class(static_cast<std::uint32_t>(recent_packets_ + 0.5F));
    std::uint32_t smallest = 0;
    for (unsigned at = size_classes; at-- > 0;) {
        const Cell& cell = cells_[load][at];
        if (is_known(cell)) {
            const Costs costs = costs_of(cell, load);
            if (costs[index(Engine::dma)] > costs[index(Engine::cpu)]) {
                break;
            }
            smallest = smallest_of(at);
        }
    }
    return smallest;
}

} // namespace datapath
