#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# From a fresh clone to figures: sets up, sends generated frames through a DMA device into a guest for 5 seconds, and
# finds out from which frame size on DMA would pay here.
# All devices are virtual: no NIC, no DMA engine, no hugepages and no root are needed.
set -euo pipefail
# shellcheck source=ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

duration_s=5
guest_limit_s=20

[[ $# -eq 0 ]] || { echo "usage: ci/quickstart.sh" >&2; exit 2; }

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

# A shell script starts background jobs deaf to SIGINT, which is how both of them are meant to end.
background=(env --default-signal=INT)
command=$venv/bin/pydpdk-defer

say "pydpdk-defer run examples/generator-to-vm.toml --duration $duration_s --wait-guest $guest_limit_s"
"${background[@]}" "$command" run "$topology" --duration "$duration_s" --wait-guest "$guest_limit_s" &
run_pid=$!
until [[ -S $socket ]] || ! kill -0 "$run_pid" 2>/dev/null; do sleep 0.1; done

if [[ -S $socket ]]; then
    # A long ring: the guest shares its CPU with the copying thread, and may be off it for a while.
    say "taskset -c 0 pydpdk-defer guest /tmp/vm0.sock --role verify --virtio queue_size=4096"
    "${background[@]}" taskset -c 0 "$command" guest "$socket" --role verify --virtio queue_size=4096 \
        >"$scratch/guest.log" 2>&1 &
    guest_pid=$!
fi

run_status=0 guest_status=1
wait "$run_pid" || run_status=$?
run_pid=''
if [[ -n $guest_pid ]]; then
    kill -INT "$guest_pid" 2>/dev/null || true
    guest_status=0
    wait "$guest_pid" || guest_status=$?
    guest_pid=''
    echo
    say "what the guest says"
    cat "$scratch/guest.log"
fi

echo
[[ $run_status -eq 0 ]] || die "run failed with status $run_status"
[[ $guest_status -eq 0 ]] || die "the guest failed with status $guest_status"
evaluation=$root/build/evaluation-$(date +%Y%m%d-%H%M%S)
say "pydpdk-defer evaluate --quick"
"$command" evaluate --quick --out "$evaluation" || die "evaluate failed with status $?"

echo
say "all is well; next: README.md, examples/, .venv/bin/pydpdk-defer --help"
