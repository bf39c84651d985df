#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# All cells of tests/datapath/test_matrix.py: virtio paths x copy x queues, with 4 KB pages and, when root, with 2 MB pages.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=ci/hugepages.sh
. "$root/ci/hugepages.sh"

usage() {
    cat <<'USAGE'
usage: ci/matrix.sh [PYTEST ARGUMENT...]

Sets up, then runs every cell and lists those that ran. Takes about half an hour.
Arguments go to pytest: `ci/matrix.sh -k packed` runs a part.
USAGE
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac

trap give_hugepages_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$root/ci/setup.sh" --test
cd "$root"
export PYTHONSAFEPATH=1
status=0
PYDPDK_DEFER_TEST_HUGEPAGES=0 "$venv/bin/python" -m pytest tests/datapath/test_matrix.py "$@" || status=$?
if is_root && reserve_hugepages; then
    PYDPDK_DEFER_TEST_HUGEPAGES=1 "$venv/bin/python" -m pytest tests/datapath/test_matrix.py "$@" || status=$?
else
    say "skipped: cells with 2 MB pages: no $hugepages_wanted free ones, or no right to reserve or to mount them"
fi
exit "$status"
