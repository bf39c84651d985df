// SPDX-License-Identifier: BSD-3-Clause
// A PMD thread: its loop. Everything here runs on the thread itself.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <utility>

#include <rte_cycles.h>

#include "datapath/pmd_thread.hpp"

namespace datapath {
namespace {

// How often the loop does all deferred work, and what need not be done each time: events, public counters.
constexpr std::uint64_t housekeeping_iterations = 1024;
// As long as a thread sleeps between iterations, it goes by the clock.
constexpr std::uint64_t housekeepings_a_second = 1000;
// A poll that brings half a batch says that there is traffic.
constexpr std::uint32_t waking_packets = max_batch / 2;
constexpr std::uint64_t sleep_step_ns = 1000;
// Polls of no more rxqs than this, after a send, take hardly more time than reading the clock.
constexpr std::size_t few_rxqs = 4;

} // namespace

void PmdThread::loop() {
    owner_.now = rte_rdtsc();
    for (;;) {
        run_while<true>(Request::none);
        run_while<false>(Request::wind_down);
        finish_work();
        if (request_.load(std::memory_order_acquire) == Request::stop) {
            return;
        }
        work_->release();
        add_up(*work_);
        std::swap(work_, next_work_);
        start_work();
        auto expected = Request::reload; // unless a stop came meanwhile
        request_.compare_exchange_strong(expected, Request::none, std::memory_order_release, std::memory_order_relaxed);
    }
}

// `from_outside`: whether rxqs that bring packets in from outside are polled too.
template<bool from_outside> void PmdThread::run_while(Request request) {
    const bool polls_take_time = work_->inputs.size() > few_rxqs;
    while (request_.load(std::memory_order_relaxed) == request) {
        const std::uint64_t start = owner_.now;
        const std::uint64_t completions = owner_.completions;
        const std::uint64_t wasted = owner_.wasted_cycles;
        const std::uint64_t batches = stats_.tx_batches;
        owner_.waited = 0;
        std::uint32_t received = 0;
        std::uint32_t received_at_most = 0;
        work_->order.turn([&](PmdWork::Input& input) {
            const std::uint32_t count = from_outside || !input.from_outside ? poll(input) : 0;
            received += count;
            received_at_most = std::max(received_at_most, count);
            return count;
        });
        from_outside ? flush_due() : flush_all();
        const std::uint32_t finished = work_->deferral.do_iteration();
        if (owner_.now == start || polls_take_time) {
            owner_.now = rte_rdtsc(); // no send and no check has read it, or polls came after
        }
        if (received > 0 || stats_.tx_batches != batches || finished > 0 || owner_.completions != completions) {
            ++stats_.busy_iterations;
            stats_.busy_cycles += owner_.now - start;
            stats_.wasted_cycles += owner_.wasted_cycles - wasted;
        } else {
            stats_.idle_cycles += owner_.now - start;
        }
        // Half a period apart: what is published right after quiescing would always show nothing in flight.
        const std::uint64_t phase = ++stats_.iterations % housekeeping_iterations;
        if (phase == housekeeping_iterations / 2) {
            count_stay([](defer::Deferral& engine) { return engine.quiesce(); });
        }
        if (phase == 0) {
            housekeep();
        } else if (owner_.waited >= owner_.max_stall) [[unlikely]] {
            housekeep(); // such turns are long: a device that hangs is to be found in time
        }
        owner_.longest_stall = std::max(owner_.longest_stall, owner_.now - start);
        if (from_outside && work_->sleep_max_ns() > 0) {
            rest(received_at_most);
        }
    }
}

// A little longer each time that little came, never with sends to do or in progress.
void PmdThread::rest(std::uint32_t received_at_most) {
    if (received_at_most >= waking_packets) {
        sleep_ns_ = 0;
        return;
    }
    if (work_->has_pending()) {
        return;
    }
    sleep_ns_ = std::min(sleep_ns_ + sleep_step_ns, work_->sleep_max_ns());
    const std::uint64_t start = owner_.now;
    const timespec duration{.tv_sec = 0, .tv_nsec = static_cast<long>(sleep_ns_)};
    nanosleep(&duration, nullptr);
    owner_.now = rte_rdtsc();
    ++stats_.sleep_iterations;
    stats_.sleep_cycles += owner_.now - start;
    if (owner_.now >= housekeeping_due_) {
        housekeep();
    }
}

// Waiting for an item in progress is idle time, as it is in the loop: a thread with nothing else to do would wait as
// well.
void PmdThread::count_stay(defer::Deferral::Stay (*work)(defer::Deferral&)) {
    const std::uint64_t start = owner_.now;
    const std::uint64_t completions = owner_.completions;
    const defer::Deferral::Stay stay = work(work_->deferral);
    const std::uint64_t cycles = owner_.now - start;
    const bool brought_some = stay.left > 0 || owner_.completions != completions;
    const std::uint64_t idle = brought_some ? std::min(stay.waiting_ticks, cycles) : cycles;
    stats_.idle_cycles += idle;
    stats_.busy_cycles += cycles - idle;
}

// What the last flush deferred is done before any port may go. Still the last turn: what that waited counts.
void PmdThread::finish_work() {
    const std::uint64_t start = owner_.now;
    const std::uint64_t wasted = owner_.wasted_cycles;
    flush_all();
    stats_.busy_cycles += owner_.now - start;
    stats_.wasted_cycles += owner_.wasted_cycles - wasted;
    count_stay([](defer::Deferral& engine) { return engine.do_all_work(); });
    housekeep();
}

std::uint32_t PmdThread::poll(PmdWork::Input& input) {
    if (input.output == nullptr) {
        if (input.relay != nullptr) {
            return relay(input);
        }
        return input.bridge_port >= 0 ? poll_bridged(input) : poll_unwired(input);
    }
    PmdWork::Output& output = *input.output;
    const std::uint64_t start = owner_.now;
    // Packets are received right into an empty batch.
    if (output.batch.count == 0) {
        const std::uint16_t count = receive(input, output.batch.packets);
        if (count == 0) {
            return 0;
        }
        output.batch.count = count;
        output.add_share(input.number, count);
        if (!output.gathers || count == max_batch) {
            flush(output);
        } else {
            owner_.now = rte_rdtsc();
            input.load.processing_cycles += owner_.now - start;
            begin_gathering(output);
        }
        return count;
    }
    rte_mbuf* packets[max_batch];
    const std::uint16_t count = receive(input, packets);
    if (count > 0) {
        owner_.now = rte_rdtsc();
        input.load.processing_cycles += owner_.now - start;
        append(input, output, packets, count);
    }
    return count;
}

std::uint16_t PmdThread::receive(PmdWork::Input& input, rte_mbuf** packets) {
    const std::uint16_t count = input.port->receive(input.qid, packets, max_batch, owner_.now);
    if (count > 0) {
        stats_.rx_packets += input.is_handoff ? 0 : count;
        if (input.captured != nullptr) [[unlikely]] {
            input.captured->add(packets, count, Direction::rx, input.qid, owner_.now);
        }
    }
    return count;
}

std::uint32_t PmdThread::poll_unwired(PmdWork::Input& input) {
    rte_mbuf* packets[max_batch];
    const std::uint16_t count = receive(input, packets);
    rte_pktmbuf_free_bulk(packets, count);
    stats_.unwired_drops += count;
    return count;
}

// The control side waits meanwhile.
std::uint32_t PmdThread::relay(PmdWork::Input& input) {
    Batch* const batch = input.relay->take();
    if (batch == nullptr) {
        return 0;
    }
    PmdWork::Output& output = *input.relayed_to;
    const std::uint16_t offered = batch->count;
    output.capture_rest(*batch, owner_.now);
    if (!refuses(output)) {
        const defer::RxqShare share{.rxq = input.number, .packets = offered};
        send(output, *batch, {&share, 1});
    }
    input.relay->give_back();
    return offered;
}

void PmdThread::append(PmdWork::Input& input, PmdWork::Output& output, rte_mbuf* const* packets, std::uint16_t count) {
    for (std::uint16_t taken = 0; taken < count;) {
        Batch& batch = output.batch;
        if (batch.count == 0) {
            begin_gathering(output);
        }
        const auto part = std::min<std::uint16_t>(static_cast<std::uint16_t>(count - taken),
                                                  static_cast<std::uint16_t>(max_batch - batch.count));
        std::copy_n(packets + taken, part, batch.packets + batch.count);
        batch.count = static_cast<std::uint16_t>(batch.count + part);
        output.add_share(input.number, part);
        taken = static_cast<std::uint16_t>(taken + part);
        if (batch.count == max_batch) {
            flush(output);
        }
    }
}

void PmdThread::flush_due() {
    for (PmdWork::Output* output : work_->gathering_outputs) {
        if (output->batch.count > 0 && owner_.now >= output->due) {
            flush(*output);
        }
    }
}

void PmdThread::flush_all() {
    for (PmdWork::Output* output : work_->gathering_outputs) {
        if (output->batch.count > 0) {
            flush(*output);
        }
    }
}

void PmdThread::flush(PmdWork::Output& output) {
    output.capture_rest(output.batch, owner_.now);
    if (refuses(output)) [[unlikely]] {
        ++stats_.tx_batches;
        output.port->refuse(output.qid, output.batch);
    } else {
        send(output, output.batch, output.batch_shares());
    }
    output.share_count = 0;
}

// With `on_full = "drop"`: one more send may be in progress when it returns, and the work ring has no room for it.
bool PmdThread::refuses(const PmdWork::Output& output) {
    const bool refused = output.can_defer && work_->deferral.config().on_full == defer::OnFull::drop &&
                         !work_->deferral.has_room(output.target);
    if (refused) {
        work_->deferral.count_refused();
    }
    return refused;
}

void PmdThread::send(PmdWork::Output& output, Batch& batch, std::span<const defer::RxqShare> shares) {
    const std::uint64_t start = owner_.now;
    ++stats_.tx_batches;
    Sent sent;
    const std::uint64_t wasted = owner_.wasted_cycles;
    const int result = output.port->send(output.qid, batch, sent);
    stats_.tx_packets += sent.packets;
    stats_.handed_over += sent.handed_over;
    stats_.wasted_send_cycles += owner_.wasted_cycles - wasted;
    charge_send(shares, owner_.now - start);
    if (result == -EINPROGRESS) {
        // There is room: see refuses().
        (void)work_->deferral.defer(output.target, static_cast<std::uint32_t>(sent.bytes), shares);
    }
}

// In equal parts per packet, to the rxqs that brought them; what does not divide goes to the last.
void PmdThread::charge_send(std::span<const defer::RxqShare> shares, std::uint64_t cycles) {
    if (shares.size() == 1) [[likely]] {
        work_->inputs[shares.front().rxq].load.processing_cycles += cycles;
        return;
    }
    std::uint64_t packets = 0;
    for (const auto& share : shares) {
        packets += share.packets;
    }
    std::uint64_t rest = cycles;
    for (const auto& share : shares.first(shares.size() - 1)) {
        const std::uint64_t part = cycles * share.packets / packets;
        work_->inputs[share.rxq].load.processing_cycles += part;
        rest -= part;
    }
    work_->inputs[shares.back().rxq].load.processing_cycles += rest;
}

void PmdThread::housekeep() {
    const std::uint64_t tsc_hz = rte_get_tsc_hz();
    housekeeping_due_ = owner_.now + tsc_hz / housekeepings_a_second;
    seconds_ = static_cast<std::uint32_t>(owner_.now / tsc_hz);
    const std::uint64_t step = RecentCycles::step_at(owner_.now, tsc_hz);
    for (auto& input : work_->inputs) {
        const std::uint64_t charged = work_->deferral.charged_ticks(input.number);
        input.load.deferred_cycles = charged - input.charged_cycles;
        input.charged_cycles = charged;
        input.load.step = step;
        input.port->housekeep_rxq(input.qid, input.load);
        input.load = {};
    }
    for (auto& output : work_->outputs) {
        output.port->housekeep_txq(output.qid);
    }
    stats_.recent_busy.add(stats_.busy_cycles - std::exchange(busy_told_, stats_.busy_cycles), step);
    PmdStats now = stats_;
    now.deferral += work_->deferral.stats();
    now.longest_stall_cycles =
        std::max({stats_.longest_stall_cycles, work_->deferral.longest_stall_ticks(), owner_.longest_stall});
    published_.publish(now);
}

} // namespace datapath
