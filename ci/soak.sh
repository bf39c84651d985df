#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The long forms of the tests, for a machine that has an hour or two to spare: the tests marked `soak`, but for
# the table of ci/matrix.sh; nonsense on sockets also with AddressSanitizer.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'USAGE'
usage: ci/soak.sh [PYTEST ARGUMENT...]

Sets up, then runs `pytest tests/datapath -m 'soak and not matrix'` with PYDPDK_DEFER_SOAK=1.
Then, if there are no arguments, `ci/sanitize.sh --soak`.
Arguments go to pytest: `ci/soak.sh -k reconnect -x` runs a part and stops at the first failure.
USAGE
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac

"$root/ci/setup.sh" --test
cd "$root"
export PYTHONSAFEPATH=1 PYDPDK_DEFER_SOAK=1
status=0
"$venv/bin/python" -m pytest tests/datapath -m "soak and not matrix" "$@" || status=$?
if [[ $# -eq 0 ]]; then ci/sanitize.sh --soak || status=$?; fi
exit "$status"
