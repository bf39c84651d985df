#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Measures: a deferred send beside other rings, cycles per packet beside a bare loop, delivered rates beside dpdk-testpmd,
# and what many ports cost. Writes JSON into build/bench/.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'END'
usage: ci/bench.sh [--engine | --auto [options of tests/bench/bench_auto.py] |
                    --evaluate [options of tests/bench/bench_evaluate.py] |
                    --metrics [options of tests/bench/bench_metrics.py] |
                    --vhost-counters [options of tests/bench/bench_vhost_counters.py] |
                    --views [options of tests/bench/bench_views.py] |
                    --ports [options of tests/bench/bench_ports.py] | options of tests/bench/bench_send.py]

  --engine   the deferral engine alone
  --auto     copy = "auto" beside both engines, as JSON and as the table of docs/performance.md
  --evaluate what evaluate measures, beside a bare loop
  --metrics  what counting perf_metrics costs, three minutes
  --vhost-counters  what librte_vhost's own counters cost
  --views    what looking by top at 10 Hz costs, four minutes
  --ports    cycles per packet and of an idle round with 1 to 64 vhost ports, as JSON and as the tables of
             docs/performance.md
END
    exit 0
fi

"$root/ci/setup.sh" --bench
cd "$root"
folder=$root/build/bench
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPYDPDK_DEFER_BENCH=ON \
    -Dpybind11_DIR="$("$venv/bin/python" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$venv/bin/python" >"$folder.log"
ninja -C "$folder" engine_bench _bare_loop _ring_sink >>"$folder.log"

export PYTHONSAFEPATH=1
if [[ ${1:-} == --auto ]]; then
    shift
    "$venv/bin/python" tests/bench/bench_auto.py --json "$folder/auto.json" --markdown "$@"
    say "results are in $folder/auto.json"
    exit 0
fi
if [[ ${1:-} == --evaluate ]]; then
    shift
    PYTHONPATH=$folder "$venv/bin/python" tests/bench/bench_evaluate.py --json "$folder/evaluate.json" "$@"
    say "results are in $folder/evaluate.json"
    exit 0
fi
if [[ ${1:-} == --metrics ]]; then
    shift
    "$venv/bin/python" tests/bench/bench_metrics.py --json "$folder/metrics.json" "$@"
    say "results are in $folder/metrics.json"
    exit 0
fi
if [[ ${1:-} == --vhost-counters ]]; then
    shift
    "$venv/bin/python" tests/bench/bench_vhost_counters.py --json "$folder/vhost-counters.json" "$@"
    say "results are in $folder/vhost-counters.json"
    exit 0
fi
if [[ ${1:-} == --views ]]; then
    shift
    "$venv/bin/python" tests/bench/bench_views.py --json "$folder/views.json" "$@"
    say "results are in $folder/views.json"
    exit 0
fi
if [[ ${1:-} == --ports ]]; then
    shift
    PYTHONPATH=$folder "$venv/bin/python" tests/bench/bench_ports.py --json "$folder/ports.json" --markdown "$@"
    say "results are in $folder/ports.json"
    exit 0
fi
"$venv/bin/python" tests/bench/bench_engine.py "$folder/engine_bench" --json "$folder/engine.json"
if [[ ${1:-} == --engine ]]; then exit 0; fi
PYTHONPATH=$folder "$venv/bin/python" tests/bench/bench_send.py --json "$folder/send.json" "$@"
"$venv/bin/python" tests/bench/bench_testpmd.py --json "$folder/testpmd.json"
say "results are in $folder/send.json and $folder/testpmd.json"
