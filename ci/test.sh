#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Sets up, then runs all checks and tests: with ordinary memory and, when root, with hugepages and as an ordinary user.
# Everything runs even after a failure; what failed is listed at the end.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=ci/hugepages.sh
. "$root/ci/hugepages.sh"

[[ $# -eq 0 ]] || { echo "usage: ci/test.sh" >&2; exit 2; }

failures=()
results='' stage=''

cleanup() {
    give_hugepages_back
    local folder
    for folder in "$results" "$stage"; do
        [[ -z $folder ]] || rm -rf "$folder"
    done
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$root/ci/setup.sh" --test
cd "$root"
results=$(mktemp -d)

# The installed package is what is tested, never the folder of that name beside the tests.
export PYTHONSAFEPATH=1

attempt() {
    local name=$1
    shift
    say "$name"
    "$@" || failures+=("$name (status $?)")
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
        shellcheck -x ci/*.sh .ci/run
    else
        say "shellcheck is not installed: only the syntax was checked"
    fi
}

attempt "check: ruff check" "$venv/bin/ruff" check
attempt "check: ruff format" "$venv/bin/ruff" format --check
attempt "check: mypy" "$venv/bin/mypy"
attempt "check: clang-format" check_cpp_format
attempt "check: shell scripts" check_shell

# --- tests

# pytest_pass NAME FOLDER MARKERS [NAME=VALUE...]
pytest_pass() {
    local name=$1 folder=$2 markers=$3
    shift 3
    attempt "tests: $name" env "$@" "$venv/bin/python" -m pytest "$folder" -m "$markers" \
        --junitxml="$results/${name//[^a-z]/-}.xml"
}

# A copy that an ordinary user may enter, wherever the clone lies: the installed package, the tests and what they read.
stage_for_ordinary_user() {
    stage=$(mktemp -d /var/tmp/defer.XXXXXX)
    cp -a "$venv" tests examples docs pyproject.toml "$stage"
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

pytest_pass "unit" tests/unit "not soak"

attempt "tests: native, with sanitizers and fuzzer" ci/sanitize.sh --junit "$results"

attempt "quickstart: the first command of the README" ci/quickstart.sh

pytest_pass "datapath, $(id -un), ordinary memory" tests/datapath "not soak" PYDPDK_DEFER_TEST_HUGEPAGES=0

hugepages_name="datapath, hugepages"
ordinary_name="unit and datapath, ordinary user without capabilities, ordinary memory"
if ! is_root; then
    say "skipped: $hugepages_name: only root can reserve hugepages and mount hugetlbfs"
    say "skipped: $ordinary_name: this user is one; only root can change to another"
else
    if reserve_hugepages; then
        pytest_pass "$hugepages_name" tests/datapath "not slow and not soak" PYDPDK_DEFER_TEST_HUGEPAGES=1
    else
        say "skipped: $hugepages_name: no $hugepages_wanted free pages of 2 MB, or no right to reserve or to mount them"
    fi
    give_hugepages_back

    ordinary_uid=$(id -u nobody)
    ordinary_gid=$(id -g nobody)
    stage_for_ordinary_user
    if as_ordinary_user "$stage/.venv/bin/python" -c '' 2>/dev/null; then
        attempt "tests: $ordinary_name" as_ordinary_user PYDPDK_DEFER_TEST_HUGEPAGES=0 \
            "$stage/.venv/bin/python" -m pytest tests/unit tests/datapath -m "not slow and not soak" \
            --ignore tests/datapath/test_matrix.py --ignore-glob 'tests/unit/test_evaluate_*' -p no:cacheprovider \
            --junitxml="$stage/tmp/junit.xml"
        [[ ! -f $stage/tmp/junit.xml ]] || cp "$stage/tmp/junit.xml" "$results/ordinary-user.xml"
    else
        say "skipped: $ordinary_name: such a user cannot execute $(readlink -f "$venv/bin/python")"
    fi
fi

# --- the sum

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

if [[ ${#failures[@]} -gt 0 ]]; then
    say "failed:"
    printf '     %s\n' "${failures[@]}" >&2
fi
total
[[ ${#failures[@]} -eq 0 ]]
