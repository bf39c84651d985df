// SPDX-License-Identifier: BSD-3-Clause
// Round trips of a work item through each candidate: measured by Google Benchmark, or, for callgrind, so many of one.
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include <benchmark/benchmark.h>

#include "candidate.h"

namespace {

constexpr std::uint64_t batch = 1024;

const struct {
    const char* name;
    const bench_candidate* candidate;
} candidates[] = {
    {"fifo", &bench_fifo}, {"per_queue", &bench_per_queue}, {"c_ring", &bench_c_ring}, {"rte_ring", &bench_rte_ring}};

const struct {
    const char* name;
    bench_variant variant;
} variants[] = {{"depth_1", {.work_func = bench_done, .depth = 1, .queues = 1}},
                {"depth_8", {.work_func = bench_done, .depth = 8, .queues = 8}},
                {"in_progress_once", {.work_func = bench_in_progress_once, .depth = 1, .queues = 1}}};

void measure(benchmark::State& state, const bench_candidate* candidate, const bench_variant* variant) {
    bench_port.calls = 0;
    candidate->prepare(variant);
    while (state.KeepRunningBatch(batch)) {
        candidate->round_trips(batch);
    }
}

} // namespace

// [--only CANDIDATE/VARIANT COUNT], or options of Google Benchmark.
int main(int argc, char** argv) {
    for (const auto& [candidate_name, candidate] : candidates) {
        for (const auto& [variant_name, variant] : variants) {
            const std::string name = std::string(candidate_name) + "/" + variant_name;
            if (argc == 4 && std::strcmp(argv[1], "--only") == 0) {
                if (name == argv[2]) {
                    candidate->prepare(&variant);
                    candidate->round_trips(std::strtoull(argv[3], nullptr, 10));
                    return 0;
                }
            } else {
                benchmark::RegisterBenchmark(name.c_str(), measure, candidate, &variant);
            }
        }
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
