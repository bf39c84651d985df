# SPDX-License-Identifier: BSD-3-Clause
"""The long forms: millions of frames in every set-up, and one run that outlives many guests. For ci/soak.sh."""

import signal
from pathlib import Path
from typing import Any

import pytest
from delivery import deliver
from processes import Guest, Run, topology, wait_until

MILLION = 1_000_000
KILLS = 50

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_a_million_over_two_queue_pairs(folder: Path, copy: str) -> None:
    queues = [f"{port}:{qid}" for port in ("src", "vm0") for qid in (0, 1)]
    two: dict[str, Any] = {"port__src__queues": 2, "port__vm0__queues": 2, "pmd": [{"core": 1, "rxqs": queues}]}
    deliver(folder, MILLION, ["--queues", "2"], port__vm0__copy=copy, **two)


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_a_million_in_client_mode(folder: Path, copy: str) -> None:
    deliver(folder, MILLION, ["--server"], port__vm0__mode="client", port__vm0__copy=copy)


@pytest.mark.parametrize("virtio", ["packed_vq=1", "mrg_rxbuf=0", "in_order=0", "packed_vq=1,mrg_rxbuf=0,in_order=0"])
@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_a_million_over_other_virtio_paths(folder: Path, copy: str, virtio: str) -> None:
    whole_frames = ["--virtio", f"{virtio},queue_size=1024", "--data-room", "9216"]
    deliver(folder, MILLION, whole_frames, port__vm0__copy=copy)


@pytest.mark.parametrize("copy", ["dma", "cpu"])
def test_one_run_outlives_many_killed_guests(folder: Path, copy: str) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=0, port__vm0__copy=copy)
    with Run(folder, tables, "--interval", "0.1", "--wait-guest", "60") as run:
        for number in range(KILLS):
            with Guest(folder, socket, role="sink", name=f"guest{number}") as guest:
                guest.wait_ready()
                lines = len(run.stderr.splitlines())

                def flowing(seen: int = lines) -> bool:
                    new = run.stderr.splitlines()[seen + 1 :]
                    return any(" 0 pps  in flight" not in line for line in new)

                wait_until(flowing, "packets flow")
                guest.finish(signal.SIGKILL)
        run.signal(signal.SIGINT)
        figures = run.result()
    assert figures["ports"]["vm0"]["guest_connects"] == KILLS
