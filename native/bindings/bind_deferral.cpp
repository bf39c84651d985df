// SPDX-License-Identifier: BSD-3-Clause
// The deferral engine alone, with Python callables as work functions: the same C++ code that runs in the PMD
// threads.
#include <deque>

#include "bindings.hpp"
#include "defer/deferral.hpp"

namespace bindings {
namespace {

class PythonDeferral {
  public:
    explicit PythonDeferral(const defer::DeferralConfig& config)
        : engine_(config) {}

    void defer(py::function work_func, py::object port, std::uint16_t qid) {
        calls_.push_back({this, std::move(work_func), std::move(port)});
        try {
            engine_.defer(&PythonDeferral::call, &calls_.back(), qid);
        } catch (...) {
            calls_.pop_back();
            throw;
        }
        forget_finished();
    }
    int do_work() {
        const int result = engine_.do_work();
        forget_finished();
        return result;
    }
    std::uint32_t do_all_work() {
        const auto left = engine_.do_all_work();
        forget_finished();
        return left;
    }
    std::uint32_t do_iteration() {
        const auto left = engine_.do_iteration();
        forget_finished();
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
        const py::function work_func = call->work_func; // kept alive though the callable may do more work itself
        return work_func(call->port, qid, force).cast<int>();
    }
    // Items leave the engine in the order they came.
    void forget_finished() {
        while (calls_.size() > engine_.pending()) {
            calls_.pop_front();
        }
    }

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
        .def_readonly("work_dropped", &defer::DeferralStats::work_dropped);
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
