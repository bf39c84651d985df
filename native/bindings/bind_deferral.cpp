// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine alone, with Python callables as work functions: the same C++ code that runs in the PMD
// threads.
#include <cerrno>
#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "defer/deferral.hpp"

namespace bindings {
namespace {

std::uint64_t monotonic_ns(void* /*context*/) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::uint64_t ask_python_clock(void* context) {
    return (*static_cast<py::function*>(context))().cast<std::uint64_t>();
}

class PythonDeferral {
  public:
    using Shares = std::vector<std::pair<std::uint16_t, std::uint16_t>>;

    PythonDeferral(const defer::DeferralConfig& config, const py::object& clock)
        : python_clock_(clock.is_none() ? py::function() : clock.cast<py::function>())
        , engine_(config, clock_) {
        clock_.read = clock.is_none() ? monotonic_ns : ask_python_clock;
        clock_.context = &python_clock_;
    }
    PythonDeferral(const PythonDeferral&) = delete;
    PythonDeferral& operator=(const PythonDeferral&) = delete;

    bool defer(py::function work_func, py::object port, std::uint16_t qid, std::uint32_t bytes, const Shares& rxqs) {
        if (rxqs.size() > defer::WorkItem::max_shares) {
            throw std::invalid_argument("a send has packets of at most " + std::to_string(defer::WorkItem::max_shares) +
                                        " rxqs");
        }
        std::vector<defer::RxqShare> shares;
        for (const auto& [rxq, packets] : rxqs) {
            if (packets == 0) {
                throw std::invalid_argument("rxq " + std::to_string(rxq) + " has no packets in this send");
            }
            rxq_count_ = std::max<std::size_t>(rxq_count_, rxq + std::size_t{1});
            shares.push_back({.rxq = rxq, .packets = packets});
        }
        engine_.set_rxqs(rxq_count_);
        Queue& queue = queue_of(port, qid);
        const bool waits = engine_.config().on_full == defer::OnFull::wait;
        if (working_ && waits && !engine_.has_room(queue.target)) {
            retire_if_idle(queue);
            throw std::runtime_error("the work ring is full, and a work function cannot do work to make room");
        }
        queue.calls.push_back({this, &queue, std::move(work_func), std::move(port)});
        defer::WorkTarget target = queue.target;
        target.call.port = &queue.calls.back();
        // An error of the work that made room, after which the item was appended all the same, must not take its call
        // away. The counter would not tell: a work function may have deferred another item meanwhile.
        bool taken = false;
        const auto forget_when_not_taken = [&] {
            if (!taken) {
                queue.calls.pop_back();
                retire_if_idle(queue);
            }
        };
        try {
            run([&] { taken = engine_.defer(target, bytes, shares); }, true);
        } catch (...) {
            forget_when_not_taken();
            throw;
        }
        forget_when_not_taken();
        return taken;
    }

    int do_work() {
        int result = 0;
        run([&] { result = engine_.do_work(); });
        return result;
    }
    std::uint32_t do_all_work() {
        std::uint32_t left = 0;
        run([&] { left = engine_.do_all_work().left; });
        return left;
    }
    std::uint32_t quiesce() {
        std::uint32_t left = 0;
        run([&] { left = engine_.quiesce().left; });
        return left;
    }
    std::uint32_t do_iteration() {
        std::uint32_t left = 0;
        run([&] { left = engine_.do_iteration(); });
        return left;
    }
    [[nodiscard]] std::uint64_t charged_ns(std::size_t rxq) const {
        return rxq < rxq_count_ ? engine_.charged_ticks(rxq) : 0;
    }
    [[nodiscard]] const defer::Deferral& engine() const { return engine_; }

  private:
    struct Queue;
    // What the engine's `void* port` points to.
    struct Call {
        PythonDeferral* owner;
        Queue* queue;
        py::function work_func;
        py::object port;
    };
    // The items of one (port, qid), oldest first: they leave the engine in that order. A deque keeps its elements'
    // places while others come and go at its ends.
    struct Queue {
        std::pair<PyObject*, std::uint16_t> key;
        defer::WorkTarget target;
        std::deque<Call> calls;
    };

    // Queues come and go; the engine's targets are used again.
    Queue& queue_of(const py::object& port, std::uint16_t qid) {
        const std::pair key{port.ptr(), qid};
        if (const auto found = queues_.find(key); found != queues_.end()) {
            return *found->second;
        }
        if (spare_.empty()) {
            all_queues_.push_back({.key = key, .target = engine_.add_target(&call, nullptr, qid), .calls = {}});
            spare_.push_back(&all_queues_.back());
        }
        Queue& queue = *spare_.back();
        spare_.pop_back();
        queue.key = key;
        queue.target.call.qid = qid;
        queues_.emplace(key, &queue);
        return queue;
    }
    void retire_if_idle(Queue& queue) {
        if (queue.calls.empty()) {
            queues_.erase(queue.key);
            spare_.push_back(&queue);
        }
    }

    static int call(void* context, std::uint16_t qid, bool force) {
        const Call call = *static_cast<Call*>(context); // kept alive whatever the callable does
        PythonDeferral& owner = *call.owner;
        int answer = 0;
        try {
            const py::object given = call.work_func(call.port, qid, force);
            if (!py::isinstance<py::int_>(given)) {
                throw py::type_error("work_func must answer with a whole number, not " + std::string(py::repr(given)));
            }
            answer = given.cast<int>();
            owner.clock_.refresh();
        } catch (...) {
            if (!force) {
                throw;
            }
            // A forced item leaves in any case; the exception follows it.
            owner.forced_error_ = std::current_exception();
            answer = -ECANCELED;
            owner.clock_.refresh(); // its time is not the next item's
        }
        if (force || answer != -EINPROGRESS) {
            call.queue->calls.pop_front();
            owner.retire_if_idle(*call.queue);
        }
        return answer;
    }

    // The engine is not made to be entered again by a work function.
    template<typename Work> void run(Work work, bool nested_allowed = false) {
        if (working_ && !nested_allowed) {
            throw std::runtime_error("a work function cannot do work itself");
        }
        const bool was_working = std::exchange(working_, true);
        try {
            if (!was_working) {
                clock_.refresh();
                clock_.waited = 0;
            }
            work();
        } catch (...) {
            working_ = was_working;
            if (!working_) {
                forced_error_ = nullptr; // one exception comes out, and none in a later call
            }
            throw;
        }
        working_ = was_working;
        if (!working_) {
            if (const auto error = std::exchange(forced_error_, nullptr); error != nullptr) {
                std::rethrow_exception(error);
            }
        }
    }

    py::function python_clock_;
    defer::Clock clock_;
    bool working_ = false;
    std::exception_ptr forced_error_;
    std::size_t rxq_count_ = 0;
    std::deque<Queue> all_queues_;
    std::map<std::pair<PyObject*, std::uint16_t>, Queue*> queues_;
    std::vector<Queue*> spare_;
    defer::Deferral engine_;
};

} // namespace

defer::DeferralConfig parse_deferral_config(const py::kwargs& options) {
    defer::DeferralConfig config;
    const auto take = [&](const char* name, auto& value) {
        value = options[name].cast<std::remove_reference_t<decltype(value)>>();
    };
    const auto policy = options["policy"].cast<std::string>();
    const auto on_full = options["on_full"].cast<std::string>();
    if (policy != "fifo" && policy != "per_queue") {
        throw std::invalid_argument("policy is 'fifo' or 'per_queue', not '" + policy + "'");
    }
    if (on_full != "wait" && on_full != "drop") {
        throw std::invalid_argument("on_full is 'wait' or 'drop', not '" + on_full + "'");
    }
    config.policy = policy == "fifo" ? defer::Policy::fifo : defer::Policy::per_queue;
    config.on_full = on_full == "wait" ? defer::OnFull::wait : defer::OnFull::drop;
    take("ring_size", config.ring_size);
    take("attempt_limit", config.attempt_limit);
    take("iteration_delay", config.iteration_delay);
    take("paced", config.paced);
    take("deadline_us", config.deadline_us);
    take("max_stall_us", config.max_stall_us);
    if (options.contains("first_index")) {
        take("first_index", config.first_index);
    }
    return config;
}

void register_deferral(py::module_& m) {
    py::class_<defer::DeferralStats>(m, "DeferralStats")
        .def_readonly("work_deferred", &defer::DeferralStats::work_deferred)
        .def_readonly("work_in_progress", &defer::DeferralStats::work_in_progress)
        .def_readonly("work_ring_full", &defer::DeferralStats::work_ring_full)
        .def_readonly("work_done", &defer::DeferralStats::work_done)
        .def_readonly("work_dropped", &defer::DeferralStats::work_dropped)
        .def("__repr__", [](const defer::DeferralStats& self) {
            return "DeferralStats(work_deferred=" + std::to_string(self.work_deferred) +
                   ", work_in_progress=" + std::to_string(self.work_in_progress) +
                   ", work_ring_full=" + std::to_string(self.work_ring_full) +
                   ", work_done=" + std::to_string(self.work_done) +
                   ", work_dropped=" + std::to_string(self.work_dropped) + ")";
        });
    py::class_<PythonDeferral>(m, "Deferral")
        .def(py::init([](const py::object& clock, const py::kwargs& options) {
                 return std::make_unique<PythonDeferral>(parse_deferral_config(options), clock);
             }),
             py::kw_only(), py::arg("clock"))
        .def("defer", &PythonDeferral::defer, py::arg("work_func"), py::arg("port"), py::arg("qid"),
             py::arg("byte_count"), py::arg("rxqs"))
        .def("do_work", &PythonDeferral::do_work)
        .def("do_all_work", &PythonDeferral::do_all_work)
        .def("quiesce", &PythonDeferral::quiesce)
        .def("do_iteration", &PythonDeferral::do_iteration)
        .def("charged_ns", &PythonDeferral::charged_ns, py::arg("rxq"))
        .def_property_readonly("pending", [](const PythonDeferral& self) { return self.engine().pending(); })
        .def_property_readonly("longest_stall_ns",
                               [](const PythonDeferral& self) { return self.engine().longest_stall_ticks(); })
        .def_property_readonly("stats", [](const PythonDeferral& self) { return self.engine().stats(); });
}

} // namespace bindings
