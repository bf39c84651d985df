// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine alone, with Python callables as work functions: the same C++ code that runs in the PMD
// threads.
#include <cerrno>
#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings.hpp"
#include "defer/deferral.hpp"

namespace bindings {
namespace {

class PythonDeferral {
  public:
    explicit PythonDeferral(const defer::DeferralConfig& config)
        : engine_(config) {}

    void defer(py::function work_func, py::object port, std::uint16_t qid) {
        if (working_ && engine_.pending() + 1 == engine_.config().ring_size) {
            throw std::runtime_error("the work ring is full, and a work function cannot do work to make room");
        }
        const std::uint64_t deferred = engine_.stats().work_deferred;
        calls_.push_back({this, std::move(work_func), std::move(port)});
        try {
            run([&] { engine_.defer(&PythonDeferral::call, &calls_.back(), qid); }, true);
        } catch (...) {
            // An error of the work that made room, after which the item was appended all the same, must not take its
            // call away.
            if (engine_.stats().work_deferred == deferred) {
                calls_.pop_back();
            }
            throw;
        }
    }
    int do_work() {
        int result = 0;
        run([&] { result = engine_.do_work(); });
        return result;
    }
    std::uint32_t do_all_work() {
        std::uint32_t left = 0;
        run([&] { left = engine_.do_all_work(); });
        return left;
    }
    std::uint32_t do_iteration() {
        std::uint32_t left = 0;
        run([&] { left = engine_.do_iteration(); });
        return left;
    }
    [[nodiscard]] const defer::Deferral& engine() const { return engine_; }

  private:
    // What the engine's `void* port` points to; a deque keeps its place while others come and go at the ends.
    struct Call {
        PythonDeferral* owner;
        py::function work_func;
        py::object port;
    };

    static int call(void* context, std::uint16_t qid, bool force) {
        const auto* call = static_cast<Call*>(context);
        PythonDeferral* owner = call->owner;
        const py::function work_func = call->work_func; // kept alive whatever the callable does
        try {
            const py::object answer = work_func(call->port, qid, force);
            if (!py::isinstance<py::int_>(answer)) {
                throw py::type_error("work_func must answer with a whole number, not " + std::string(py::repr(answer)));
            }
            return answer.cast<int>();
        } catch (...) {
            if (!force) {
                throw;
            }
            // A forced item leaves in any case; the exception follows it.
            owner->forced_error_ = std::current_exception();
            return -ECANCELED;
        }
    }

    // The engine is not made to be entered again by a work function.
    template<typename Work> void run(Work work, bool nested_allowed = false) {
        if (working_ && !nested_allowed) {
            throw std::runtime_error("a work function cannot do work itself");
        }
        const bool was_working = std::exchange(working_, true);
        try {
            work();
        } catch (...) {
            working_ = was_working;
            throw;
        }
        working_ = was_working;
        if (!working_) {
            // Items leave the engine in the order they came.
            while (calls_.size() > engine_.pending()) {
                calls_.pop_front();
            }
            if (const auto error = std::exchange(forced_error_, nullptr); error != nullptr) {
                std::rethrow_exception(error);
            }
        }
    }

    bool working_ = false;
    std::exception_ptr forced_error_;
    std::deque<Call> calls_;
    defer::Deferral engine_;
};

} // namespace

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
        .def(py::init([](std::uint32_t ring_size, std::uint32_t attempt_limit, std::uint8_t iteration_delay,
                         std::uint32_t first_index) {
                 return std::make_unique<PythonDeferral>(defer::DeferralConfig{.ring_size = ring_size,
                                                                               .attempt_limit = attempt_limit,
                                                                               .iteration_delay = iteration_delay,
                                                                               .first_index = first_index});
             }),
             py::kw_only(), py::arg("ring_size"), py::arg("attempt_limit"), py::arg("iteration_delay"),
             py::arg("first_index"))
        .def("defer", &PythonDeferral::defer, py::arg("work_func"), py::arg("port"), py::arg("qid"))
        .def("do_work", &PythonDeferral::do_work)
        .def("do_all_work", &PythonDeferral::do_all_work)
        .def("do_iteration", &PythonDeferral::do_iteration)
        .def_property_readonly("pending", [](const PythonDeferral& self) { return self.engine().pending(); })
        .def_property_readonly("stats", [](const PythonDeferral& self) { return self.engine().stats(); });
}

} // namespace bindings
