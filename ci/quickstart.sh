#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# From a fresh clone to figures: sets up, runs the two commands of README's "A run" for 5 seconds, and measures from
# which frame size on DMA pays off here. All devices are virtual: no NIC, no DMA engine, no hugepages, no root.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'USAGE'
usage: ci/quickstart.sh [EVALUATE OPTION...]

Options go to `pydpdk-defer evaluate --quick`: `ci/quickstart.sh --forks 2` is done sooner, and less certain.
Fails on corrupt, reordered or duplicated frames, and on lost ones that no counter of the datapath explains.
USAGE
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac

run_pid='' guest_pid='' scratch=''

# Ends one process of ours: asks, waits 10 s, then insists.
end_process() {
    local pid=$1 tenths
    [[ -n $pid ]] && kill -INT "$pid" 2>/dev/null || return 0
    for ((tenths = 0; tenths < 100; tenths++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

cleanup() {
    end_process "$run_pid"
    end_process "$guest_pid"
    [[ -z $scratch ]] || rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$root/ci/setup.sh"

for cpu in 0 1; do
    taskset -c "$cpu" true 2>/dev/null ||
        die "CPU $cpu cannot be used here; two are needed: CPU 1 for the PMD thread, CPU 0 for the guest and the DMA device"
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/pydpdk-defer.XXXXXX")
socket=$scratch/vm0.sock
topology=$scratch/generator-to-vm.toml
sed "s|/tmp/vm0\.sock|$socket|" "$root/examples/generator-to-vm.toml" >"$topology"
grep -qF "\"$socket\"" "$topology" || die "examples/generator-to-vm.toml does not name /tmp/vm0.sock"

# A shell script starts background jobs with SIGINT ignored, and SIGINT is what ends both of them.
background=(env --default-signal=INT)
command=$venv/bin/pydpdk-defer

say "pydpdk-defer run examples/generator-to-vm.toml --wait-guest 30 --duration 5"
"${background[@]}" "$command" run "$topology" --wait-guest 30 --duration 5 --json "$scratch/run.json" &
run_pid=$!
until [[ -S $socket ]] || ! kill -0 "$run_pid" 2>/dev/null; do sleep 0.1; done

if [[ -S $socket ]]; then
    say "pydpdk-defer guest /tmp/vm0.sock --role verify --core 0 --virtio queue_size=16384"
    "${background[@]}" "$command" guest "$socket" --role verify --core 0 --virtio queue_size=16384 \
        --json "$scratch/guest.json" >"$scratch/guest.log" 2>&1 &
    guest_pid=$!
fi

run_status=0
wait "$run_pid" || run_status=$?
run_pid=''
if [[ -n $guest_pid ]]; then
    kill -INT "$guest_pid" 2>/dev/null || true
    wait "$guest_pid" || true # its status is also 1 for frames that the datapath dropped and counted
    guest_pid=''
    echo
    say "the guest's report"
    cat "$scratch/guest.log"
fi
[[ $run_status -eq 0 ]] || die "run failed with status $run_status"
[[ -s $scratch/guest.json ]] || die "the guest failed"

"$venv/bin/python" -P - "$scratch/run.json" "$scratch/guest.json" <<'PYTHON' || die "frames did not arrive as they were sent"
import json
import sys
from pathlib import Path

run, guest = (json.loads(Path(path).read_text()) for path in sys.argv[1:])
[txq] = run["ports"]["vm0"]["txqs"]
dropped = sum(txq["drops"].values())
problems = [f"{guest[what]} frames {what}" for what in ("corrupt", "reordered", "duplicates", "foreign") if guest[what]]
if guest["received"] != txq["completed"] + txq["late_completions"]:
    problems.append(f"{txq['completed']} frames sent to the guest, {guest['received']} received")
if guest["lost"] > dropped:
    problems.append(f"{guest['lost']} frames lost, {dropped} dropped and counted")
print(f"{guest['received']} frames received, {dropped} dropped for want of room", *problems, sep="\n")
sys.exit(bool(problems) or not guest["received"])
PYTHON

echo
evaluation=$root/build/evaluation-$(date +%Y%m%d-%H%M%S)
say "pydpdk-defer evaluate --quick $*"
"$command" evaluate --quick --out "$evaluation" "$@" || die "evaluate failed with status $?"

echo
say "done; next: README.md, examples/, .venv/bin/pydpdk-defer --help"
