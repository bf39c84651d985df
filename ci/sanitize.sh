#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The tests of tests/native under AddressSanitizer with UndefinedBehaviorSanitizer, those with threads under
# ThreadSanitizer, peers that send malformed messages to a datapath whose extension has AddressSanitizer, then the
# fuzzer over the deferral engine and its model. All build results are in build/sanitize/.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'USAGE'
usage: ci/sanitize.sh [--native] [--fuzz SECONDS] [--junit FOLDER] [--keep] [--soak]

  --native         only the tests of tests/native, which include the fuzzer's corpus
  --fuzz SECONDS   how long the fuzzer runs (60); 0: it only goes over the corpus
  --junit FOLDER   where the tests' reports go
  --soak           twice 10,000 messages of nonsense, in place of 1,500
  --keep           put what the fuzzer found into tests/native/corpus, reduced to what reaches other code
USAGE
}

fuzz_seconds=60 junit=$root/build/sanitize keep=false nonsense='not soak' native_only=false
while [[ $# -gt 0 ]]; do
    case $1 in
        --native) native_only=true ;;
        --fuzz) fuzz_seconds=${2:?--fuzz wants a number of seconds}; shift ;;
        --junit) junit=${2:?--junit wants a folder}; shift ;;
        --keep) keep=true ;;
        --soak) nonsense='soak' ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

cd "$root"
folder=$root/build/sanitize
corpus=tests/native/corpus
mkdir -p "$folder"

# build NAME TARGET [CMAKE OPTION...]
build() {
    local name=$1 target=$2 log=$folder/$1.log
    shift 2
    if ! { cmake -S tests/native -B "$folder/$name" -G Ninja "$@" &&
        ninja -C "$folder/$name" -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" "$target"; } >"$log" 2>&1; then
        grep -E -A 5 -m 20 'error:|CMake Error|undefined reference' "$log" >&2 || tail -n 40 "$log" >&2
        die "the build with $name failed; the whole log is in $log"
    fi
}

# run_tests NAME TARGET [COMMAND...]: COMMAND starts the tests
run_tests() {
    local name=$1 target=$2
    shift 2
    say "$target with $name"
    "$@" "$folder/$name/$target" --gtest_brief=1 --gtest_output="xml:$junit/native-$name.xml"
}

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1

build address native_tests -DSANITIZE=address,undefined
run_tests address native_tests

build thread thread_tests -DSANITIZE=thread
# ThreadSanitizer cannot start under the address randomization of newer kernels: switch it off where that is needed.
fixed_places=()
if ! "$folder/thread/thread_tests" --gtest_list_tests >/dev/null 2>&1; then
    fixed_places=(setarch -R)
fi
run_tests thread thread_tests "${fixed_places[@]}"

if $native_only; then exit 0; fi

# --- the extension, without DPDK itself

say "datapath: malformed messages on a socket, with address"
extension=$folder/extension
log=$extension.log
if ! { cmake -S . -B "$extension" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g" \
    -DPYDPDK_DEFER_SANITIZE=address -Dpybind11_DIR="$("$venv/bin/python" -m pybind11 --cmakedir)" \
    -DPython_EXECUTABLE="$venv/bin/python" &&
    ninja -C "$extension" -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" _native; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "the build of the sanitized extension failed; the whole log is in $log"
fi
PYTHONSAFEPATH=1 PYDPDK_DEFER_ASAN=$extension "$venv/bin/python" -m pytest tests/datapath/test_nonsense.py \
    -m "$nonsense" --junitxml="$junit/nonsense-address.xml"

# --- the fuzzer

if ! command -v clang++ >/dev/null; then
    say "skipped: fuzzer: it needs clang++ with libFuzzer (on Debian: apt-get install clang libclang-rt-dev)"
    exit 0
fi
build fuzzer fuzz_engine -DFUZZER=ON -DSANITIZE=address,undefined -DCMAKE_CXX_COMPILER=clang++
found=$folder/found
mkdir -p "$found"
fuzz() {
    local log=$folder/fuzz.log
    if ! "$folder/fuzzer/fuzz_engine" -artifact_prefix="$folder/" -print_final_stats=1 "$@" >"$log" 2>&1; then
        grep -E 'differ|ERROR|runtime error|SUMMARY|Test unit written|^    #[0-9] ' "$log" >&2 || tail -n 40 "$log" >&2
        die "the fuzzer found a fault; the whole log is in $log"
    fi
    grep -E 'stat::number_of_executed_units|cov: [0-9]+' "$log" | tail -n 2 | sed 's/^/   /' >&2
}
say "fuzzer: the corpus, then $fuzz_seconds s"
if ((fuzz_seconds > 0)); then
    fuzz -max_len=512 -max_total_time="$fuzz_seconds" "$found" "$corpus"
else
    fuzz -runs=0 "$corpus"
fi
if $keep; then
    mkdir -p "$folder/smallest"
    fuzz -merge=1 -use_counters=0 "$folder/smallest" "$corpus" "$found"
    rm -rf "$corpus"
    mv "$folder/smallest" "$corpus"
fi
