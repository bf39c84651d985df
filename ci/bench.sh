#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Measures: a deferred send beside other rings, cycles per packet beside a bare loop, and delivered rates beside
# dpdk-testpmd. Writes JSON into build/bench/.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    echo "usage: ci/bench.sh [--engine | options of tests/bench/bench_send.py]"
    exit 0
fi

"$root/ci/setup.sh" --bench
cd "$root"
folder=$root/build/bench
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPYDPDK_DEFER_BENCH=ON \
    -Dpybind11_DIR="$("$venv/bin/python" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$venv/bin/python" >"$folder.log"
ninja -C "$folder" engine_bench _bare_loop >>"$folder.log"

export PYTHONSAFEPATH=1
"$venv/bin/python" tests/bench/bench_engine.py "$folder/engine_bench" --json "$folder/engine.json"
if [[ ${1:-} == --engine ]]; then exit 0; fi
PYTHONPATH=$folder "$venv/bin/python" tests/bench/bench_send.py --json "$folder/send.json" "$@"
"$venv/bin/python" tests/bench/bench_testpmd.py --json "$folder/testpmd.json"
say "results are in $folder/send.json and $folder/testpmd.json"
