// SPDX-License-Identifier: BSD-3-Clause
// Bytes as a sequence of operations, done to the engine and to its model alike; what they answer, count and call must
// be the same after each.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "engine_model.hpp"

namespace native_tests {

class Bytes {
  public:
    explicit Bytes(std::span<const std::uint8_t> bytes)
        : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t next() {
        if (bytes_.empty()) {
            return 0;
        }
        const std::uint8_t byte = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return byte;
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

constexpr std::size_t rxq_count = 16;
constexpr std::uint64_t enough_sends = 400; // so that no input takes long

// A send, as the bytes tell it.
struct Script {
    explicit Script(Bytes& bytes) {
        const std::uint8_t kind = bytes.next();
        in_progress = kind & 7;
        answer = (kind & 8) != 0 ? -ETIMEDOUT : 0;
        forced = (kind & 16) != 0 ? -ECANCELED : 0;
        more = (kind & 32) != 0 ? 2 : 0;
        takes = (kind & 64) != 0 ? std::uint64_t{1} << (bytes.next() % 12) : 0;
        size = std::uint32_t{1} << (bytes.next() % 18);
        if ((kind & 128) != 0) {
            const std::uint8_t count = bytes.next() % 33;
            for (std::uint8_t i = 0; i < count; ++i) {
                const std::uint16_t rxq = static_cast<std::uint16_t>((kind + i * size) % rxq_count);
                shares.push_back({.rxq = rxq, .packets = static_cast<std::uint16_t>(1 + (i * 7 + size) % 65535)});
            }
        }
    }
    unsigned in_progress;
    int answer;
    int forced;
    unsigned more; // checks that defer another send, to the queue after its own
    std::uint64_t takes;
    std::uint32_t size;
    std::vector<defer::RxqShare> shares;
};

struct SeenCall {
    std::size_t send;
    std::uint16_t qid;
    bool force;
    std::uint64_t time;
    bool operator==(const SeenCall&) const = default;
};

template<typename Engine> class Side {
  public:
    Side(const defer::DeferralConfig& config, std::uint64_t step)
        : step_(step)
        , engine_(config, clock_)
        , drops_(config.on_full == defer::OnFull::drop) {
        engine_.set_rxqs(rxq_count);
        clock_.context = this;
        if (step > 0) {
            clock_.read = [](void* side) {
                const Side& self = *static_cast<Side*>(side);
                return self.clock_.now + self.step_;
            };
        }
    }
    void add_queue(std::uint16_t channel) {
        queues_.push_back(
            engine_.add_target(&Side::check, nullptr, static_cast<std::uint16_t>(queues_.size()), channel));
    }
    void add_channel() { (void)engine_.add_channel(); }
    bool defer(std::size_t queue, const Script& script) {
        auto target = queues_[queue];
        plays_.push_back({this, plays_.size(), queue, script});
        set_port(target, &plays_.back());
        return engine_.defer(target, script.size, script.shares);
    }
    [[nodiscard]] std::size_t queues() const { return queues_.size(); }
    void pass(std::uint64_t ticks) { clock_.now += ticks; }
    void begin_turn() { clock_.waited = 0; }
    Engine& engine() { return engine_; }
    std::vector<SeenCall>& calls() { return calls_; }
    [[nodiscard]] std::uint64_t now() const { return clock_.now; }

  private:
    struct Play {
        Side* side;
        std::size_t number;
        std::size_t queue;
        Script script;
    };
    static int check(void* port, std::uint16_t qid, bool force) {
        Play& play = *static_cast<Play*>(port);
        Side& side = *play.side;
        side.calls_.push_back({play.number, qid, force, side.clock_.now});
        side.clock_.now += play.script.takes;
        if (play.script.more > 0) {
            --play.script.more;
            const std::size_t queue = (play.queue + 1) % side.queues_.size();
            Script child = play.script;
            child.more = 0;
            // A work function cannot do work to make room.
            if (side.drops_ || side.engine_.has_room(side.queues_[queue])) {
                (void)side.defer(queue, child);
            }
        }
        if (force) {
            return play.script.forced;
        }
        return play.script.in_progress-- > 0 ? -EINPROGRESS : (play.script.in_progress = 0, play.script.answer);
    }

    defer::Clock clock_;
    std::uint64_t step_;
    Engine engine_;
    bool drops_;
    std::vector<decltype(std::declval<Engine&>().add_target(nullptr, nullptr, 0, 0))> queues_;
    std::deque<Play> plays_;
    std::vector<SeenCall> calls_;
};

class Differential {
  public:
    explicit Differential(std::span<const std::uint8_t> input)
        : Differential(Bytes(input)) {}

    // What differed first; empty: nothing did.
    std::string run() {
        both([](auto& side) {
            side.add_channel();
            side.add_queue(0);
            return 0;
        });
        while (!bytes_.empty() && fault_.empty() && model_.engine().stats().work_deferred < enough_sends) {
            operation(bytes_.next());
        }
        both([](auto& side) { return side.engine().do_all_work().left; });
        return fault_;
    }

  private:
    explicit Differential(Bytes bytes)
        : config_(read_config(bytes))
        , bytes_(bytes)
        , step_(bytes_.next() % 3 == 0 ? std::uint64_t{256} << (bytes_.next() % 8) : 0)
        , real_(config_, step_)
        , model_(config_, step_) {}

    static defer::DeferralConfig read_config(Bytes& bytes) {
        const std::uint8_t kind = bytes.next();
        const std::uint8_t times = bytes.next();
        return {.policy = (kind & 1) != 0 ? defer::Policy::per_queue : defer::Policy::fifo,
                .ring_size = 2U << (bytes.next() % 5),
                .attempt_limit = 1U + (times & 7),
                .iteration_delay = static_cast<std::uint8_t>((kind >> 1) & 3),
                .on_full = (kind & 8) != 0 ? defer::OnFull::drop : defer::OnFull::wait,
                .paced = (kind & 16) != 0,
                .deadline_us = (kind & 32) != 0 ? 1U + (times >> 3) : 0U,
                .max_stall_us = (kind & 64) != 0 ? 1U + (times >> 4) : 0U,
                .ticks_per_us = 16,
                .first_index = 0U - bytes.next()};
    }

    void operation(std::uint8_t code) {
        const std::size_t queue = static_cast<std::size_t>(code >> 4) % real_.queues();
        switch (code & 15) {
        case 0:
        case 1:
        case 2:
        case 3: {
            const Script script(bytes_);
            for (int count = (code & 15) == 3 ? bytes_.next() % 40 : 1; count > 0; --count) {
                both([&](auto& side) { return side.defer(queue, script); });
            }
            break;
        }
        case 4:
        case 5:
        case 6:
            for (int count = 1 + (code >> 4); count > 0; --count) {
                both([](auto& side) { return side.engine().do_work(); });
            }
            break;
        case 7:
        case 8:
        case 9:
            for (int count = 1 + (code >> 4); count > 0; --count) {
                both([](auto& side) {
                    side.begin_turn();
                    return side.engine().do_iteration();
                });
            }
            break;
        case 10:
            both([](auto& side) { return side.engine().do_all_work().left; });
            break;
        case 11:
            both([](auto& side) { return side.engine().quiesce().waiting_ticks; });
            break;
        case 12:
        case 13:
            both([&](auto& side) {
                side.pass(std::uint64_t{1} << (code >> 4));
                return 0;
            });
            break;
        case 14:
            if (real_.queues() < 16) {
                both([&](auto& side) {
                    side.add_queue(static_cast<std::uint16_t>(code >> 7));
                    return 0;
                });
            }
            break;
        default:
            both([&](auto& side) { return side.engine().do_all_work().waiting_ticks; });
        }
    }

    template<typename Action> void both(Action action) {
        if (!fault_.empty()) {
            return;
        }
        const auto real = action(real_);
        const auto model = action(model_);
        compare("answer", real, model);
        compare("calls", real_.calls().size(), model_.calls().size());
        if (real_.calls() != model_.calls()) {
            fault_ += " other calls;";
        }
        real_.calls().clear();
        model_.calls().clear();
        const defer::DeferralStats& stats = real_.engine().stats();
        const defer::DeferralStats& wanted = model_.engine().stats();
        compare("work_deferred", stats.work_deferred, wanted.work_deferred);
        compare("work_in_progress", stats.work_in_progress, wanted.work_in_progress);
        compare("work_ring_full", stats.work_ring_full, wanted.work_ring_full);
        compare("work_done", stats.work_done, wanted.work_done);
        compare("work_dropped", stats.work_dropped, wanted.work_dropped);
        compare("pending", real_.engine().pending(), model_.engine().pending());
        compare("balance", stats.work_deferred - stats.work_done - stats.work_dropped, real_.engine().pending());
        compare("longest stall", real_.engine().longest_stall_ticks(), model_.engine().longest_stall_ticks());
        compare("time", real_.now(), model_.now());
        for (std::size_t rxq = 0; rxq < rxq_count; ++rxq) {
            compare("charge", real_.engine().charged_ticks(rxq), model_.engine().charged_ticks(rxq));
        }
    }
    template<typename Real, typename Model> void compare(const char* what, Real real, Model model) {
        if (static_cast<std::int64_t>(real) != static_cast<std::int64_t>(model)) {
            fault_ += std::string(" ") + what + ": " + std::to_string(real) + ", not " + std::to_string(model) + ";";
        }
    }

    defer::DeferralConfig config_;
    Bytes bytes_;
    std::uint64_t step_;
    Side<defer::Deferral> real_;
    Side<EngineModel> model_;
    std::string fault_;
};

} // namespace native_tests
