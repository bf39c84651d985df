# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of a running datapath: over HTTP by itself, and as DPDK's own exporter loads them."""

import importlib.util
import json
import socket as sockets
import urllib.request
from pathlib import Path
from signal import SIGINT
from typing import Any

from processes import Guest, Run, topology, txq_sum, wait_until
from prometheus_client.parser import text_string_to_metric_families

import pydpdk_defer.endpoints
from pydpdk_defer.attach import attach


def scraped(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(url, timeout=45) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_run_answers_scrapes(folder: Path) -> None:
    socket = folder / "vm0.sock"
    tables = topology(socket, port__src__rate_pps=10_000)
    with Run(folder, tables, "--quiet", "--wait-guest", "60", "--metrics", "127.0.0.1:0") as run:
        run.wait_for_text("metrics: http://127.0.0.1:")
        url = run.stderr.partition("metrics: ")[2].split()[0]
        with Guest(folder, socket, role="sink") as guest:
            guest.wait_ready()
            vm0 = frozenset({("port", "vm0"), ("qid", "0")})
            key = ("dpdk_defer_txq_completed_packets_total", vm0)
            wait_until(lambda: scraped(url)[key] > 1000, "packets arrive")
            first = scraped(url)
            guest.report()
        run.signal(SIGINT)
        figures = run.result()
    assert first[key] <= txq_sum(figures, "vm0", "completed")
    moved = first["dpdk_defer_txq_bytes_total", vm0 | {("engine", "dma")}]
    assert moved >= 1500 * first[key] > 0
    assert ("dpdk_defer_pmd_busy_cycles_total", frozenset({("core", "1")})) in first


def test_an_address_that_is_taken(folder: Path) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Run(folder, topology(folder / "vm0.sock"), "--quiet", "--metrics", address) as run:
            assert run.finish() == 1
    assert run.stderr.startswith(f"error: --metrics {address}: Address already in use\nhint: ")


class _ExportersSocket:
    """What dpdk-telemetry-exporter.py of DPDK 24.03 to 25.11 gives an endpoint."""

    def __init__(self, path: Path) -> None:
        self._socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        self._socket.connect(str(path))
        self._longest = json.loads(self._socket.recv(1024))["max_output_len"]

    def cmd(self, uri: str, arg: object = None) -> Any:
        self._socket.send((uri if arg is None else f"{uri},{arg}").encode())
        return json.loads(self._socket.recv(self._longest))[uri]

    def close(self) -> None:
        self._socket.close()


def test_dpdks_exporter_can_load_the_endpoint(folder: Path) -> None:
    """From its file alone, without the package."""
    [place] = pydpdk_defer.endpoints.__path__
    spec = importlib.util.spec_from_file_location("defer", Path(place) / "defer.py")
    assert spec is not None
    assert spec.loader is not None
    endpoint = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(endpoint)
    with Run(folder, topology(folder / "vm0.sock"), "--quiet") as run:
        run.wait_until_listening(folder / "vm0.sock")
        run.wait_for_counters(lambda _: True, "it answers")
        with attach(run.file_prefix()) as datapath:
            sock = _ExportersSocket(datapath.folder / "dpdk_telemetry.v2")
            found = endpoint.metrics(sock)
            sock.close()
        run.signal(SIGINT)
        run.result()
    assert {name for name, _, _ in found} <= endpoint.info().keys()
    assert ("mempool_size_mbufs", {"mempool": "mbufs"}) in [(name, labels) for name, _, labels in found]
