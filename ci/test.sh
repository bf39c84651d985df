#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Sets up, then runs all checks and tests. Every stage runs even after a failure; the end lists what failed, and the
# time of each stage.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=ci/hugepages.sh
. "$root/ci/hugepages.sh"

usage() {
    cat <<'USAGE'
usage: ci/test.sh [--full] [--limit MINUTES]

Without options: checks, unit and native tests, README's quickstart, and each feature of the datapath once.

  --full            every test but the soak tests: all datapath tests with ordinary memory, again with hugepages and
                    as an ordinary user, the extension under AddressSanitizer, 60 s of fuzzing, the report in a browser
  --limit MINUTES   a run that takes longer is ended, and fails (default 30; --full: 120)
USAGE
}

full=false limit_minutes=''
while [[ $# -gt 0 ]]; do
    case $1 in
        --full) full=true ;;
        --limit)
            [[ ${2:-} =~ ^[1-9][0-9]{0,3}$ ]] || { echo "error: --limit needs a number of minutes, not '${2:-}'" >&2; exit 2; }
            limit_minutes=$2
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
if [[ -z $limit_minutes ]]; then
    if $full; then limit_minutes=120; else limit_minutes=30; fi
fi

failures=() stage_times=()
results=$(mktemp -d)
stage='' watchdog_pid=''

cleanup() {
    [[ -z $watchdog_pid ]] || kill "$watchdog_pid" 2>/dev/null || true
    give_hugepages_back
    local folder
    for folder in "$results" "$stage"; do
        [[ -z $folder ]] || rm -rf "$folder"
    done
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the time limit

# Every process of this run has this in its environment, in whatever session it is.
export PYDPDK_DEFER_CI_RUN=$$-$RANDOM$RANDOM

processes_of_this_run() {
    grep -lazxF "PYDPDK_DEFER_CI_RUN=$PYDPDK_DEFER_CI_RUN" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
}

# signal_run SIGNAL: to all processes of this run but this script, which got the variable after its start
signal_run() {
    local pid
    for pid in $(processes_of_this_run); do kill "-$1" "$pid" 2>/dev/null || true; done
}

# Ends the run when its time is over. Starts no process before that, so that nothing is left when it is killed.
watchdog() {
    trap - EXIT INT TERM
    local silent pids
    exec {silent}<> <(:)
    read -r -t "$((limit_minutes * 60))" -u "$silent" || true
    touch "$results/late"
    say "the limit of $limit_minutes minutes is over in the stage: $(<"$results/stage")"
    pids=$(processes_of_this_run | paste -sd, -)
    [[ -z $pids ]] || ps -o pid,etime,args -p "$pids" >&2 || true
    # pytest ends its processes on SIGINT.
    signal_run INT
    read -r -t 20 -u "$silent" || true
    signal_run KILL
}

# run_stage NAME COMMAND...: a failure is noted, and the next stage runs all the same
run_stage() {
    local name=$1 start=$SECONDS status=0
    shift
    say "$name"
    echo "$name, begun at $(date +%T)" >"$results/stage"
    "$@" || status=$?
    stage_times+=("$(printf '%3d:%02d  %s' $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60)) "$name")")
    [[ $status -eq 0 ]] || failures+=("$name (status $status)")
    [[ ! -e $results/late ]] || finish
}

# --- the end

total() {
    "$venv/bin/python" - "$results" <<'PYTHON'
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

passed = failed = skipped = 0
for report in Path(sys.argv[1]).glob("*.xml"):
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests, failures, errors, skips = (int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped"))
        failed += failures + errors
        skipped += skips
        passed += tests - failures - errors - skips
print(f"total: {passed} passed, {failed} failed, {skipped} skipped")
PYTHON
}

finish() {
    say "time of each stage, in minutes, of $((SECONDS / 60)):$(printf %02d $((SECONDS % 60))) in all"
    printf '   %s\n' "${stage_times[@]}" >&2
    if [[ -e $results/late ]]; then failures+=("not done within $limit_minutes minutes"); fi
    if [[ ${#failures[@]} -gt 0 ]]; then
        say "failed:"
        printf '     %s\n' "${failures[@]}" >&2
    fi
    total
    [[ ${#failures[@]} -eq 0 ]] || exit 1
    exit 0
}

# --- checks

check_cpp_format() {
    find native tests \( -name '*.cpp' -o -name '*.hpp' \) -print0 |
        xargs -0 -r "$venv/bin/clang-format" --dry-run -Werror
}

check_shell() {
    local script
    for script in ci/*.sh .ci/run; do
        bash -n "$script" || return
    done
    if command -v shellcheck >/dev/null; then
        # SC2317: functions called through run_stage seem unreachable to it.
        shellcheck -x -e SC2317 ci/*.sh .ci/run
    else
        say "shellcheck is not installed: only the syntax was checked"
    fi
}

# --- tests

# pytest_stage NAME MARKERS FOLDER [NAME=VALUE...]
pytest_stage() {
    local name=$1 markers=$2 folder=$3
    shift 3
    run_stage "tests: $name" env "$@" "$venv/bin/python" -m pytest "$folder" -m "$markers" \
        --junitxml="$results/${name//[^a-z]/-}.xml"
}

# A copy that an ordinary user may enter, wherever the clone lies: the installed package, the tests and what they read.
stage_for_ordinary_user() {
    stage=$(mktemp -d /var/tmp/defer.XXXXXX)
    cp -a "$venv" tests examples docs README.md pyproject.toml "$stage"
    sed -i "1s|.*|#!$stage/.venv/bin/python|" "$stage/.venv/bin/pydpdk-defer"
    chmod -R a+rX "$stage"
    install -d -m 0700 -o "$ordinary_uid" -g "$ordinary_gid" "$stage"/{home,tmp,run}
}

as_ordinary_user() {
    (cd "$stage" && exec setpriv --reuid="$ordinary_uid" --regid="$ordinary_gid" --clear-groups \
        --bounding-set=-all --inh-caps=-all --no-new-privs \
        env HOME="$stage/home" TMPDIR="$stage/tmp" XDG_RUNTIME_DIR="$stage/run" PYTHONDONTWRITEBYTECODE=1 \
        PATH="$stage/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@")
}

# ordinary_user_stage PYTEST ARGUMENT...
ordinary_user_stage() {
    local status=0
    as_ordinary_user PYDPDK_DEFER_TEST_HUGEPAGES=0 "$stage/.venv/bin/python" -m pytest "$@" \
        -p no:cacheprovider --junitxml="$stage/tmp/junit.xml" || status=$?
    [[ ! -f $stage/tmp/junit.xml ]] || cp "$stage/tmp/junit.xml" "$results/ordinary-user.xml"
    return "$status"
}

set_up() {
    local wanted=--test
    if $full; then wanted=--full; fi
    "$root/ci/setup.sh" "$wanted"
}

# --- all of it

watchdog &
watchdog_pid=$!

run_stage "setup" set_up
[[ ${#failures[@]} -eq 0 ]] || finish
cd "$root"
# The installed package is tested, not the folder of that name beside the tests.
export PYTHONSAFEPATH=1

run_stage "check: ruff check" "$venv/bin/ruff" check
run_stage "check: ruff format" "$venv/bin/ruff" format --check
run_stage "check: mypy" "$venv/bin/mypy"
run_stage "check: clang-format" check_cpp_format
run_stage "check: shell scripts" check_shell

once="not full and not soak" again_pages="pages and not full and not soak" again_rights="rights and not full and not soak"
if $full; then
    once="not soak" again_pages="not slow and not soak" again_rights="not slow and not soak and not matrix"
fi

pytest_stage "unit" "$once" tests/unit
if $full; then
    run_stage "tests: native and extension, with sanitizers and fuzzer" ci/sanitize.sh --junit "$results"
else
    run_stage "tests: native, with sanitizers" ci/sanitize.sh --native --junit "$results"
fi
run_stage "quickstart" ci/quickstart.sh --forks 2
pytest_stage "datapath, $(id -un), ordinary memory" "$once" tests/datapath PYDPDK_DEFER_TEST_HUGEPAGES=0

hugepages_name="datapath, hugepages"
ordinary_name="ordinary user without capabilities, ordinary memory"
if ! is_root; then
    say "skipped: $hugepages_name: only root can reserve hugepages and mount hugetlbfs"
    say "skipped: $ordinary_name: this user is one; only root can change to another"
else
    if reserve_hugepages; then
        pytest_stage "$hugepages_name" "$again_pages" tests/datapath PYDPDK_DEFER_TEST_HUGEPAGES=1
    else
        say "skipped: $hugepages_name: no $hugepages_wanted free pages of 2 MB, or no right to reserve or to mount them"
    fi
    give_hugepages_back

    ordinary_uid=$(id -u nobody)
    ordinary_gid=$(id -g nobody)
    stage_for_ordinary_user
    if as_ordinary_user "$stage/.venv/bin/python" -c '' 2>/dev/null; then
        run_stage "tests: $ordinary_name" ordinary_user_stage tests/unit tests/datapath -m "$again_rights"
    else
        say "skipped: $ordinary_name: such a user cannot execute $(readlink -f "$venv/bin/python")"
    fi
fi
finish
