# SPDX-License-Identifier: BSD-3-Clause
"""What another release of the package tells of its datapath, and one that does not answer in time."""

import json
import socket
import threading
from errno import EPROTO, ETIMEDOUT
from pathlib import Path

import pytest
from telemetry_lists import lists

from pydpdk_defer import attach
from pydpdk_defer.attach import Attached, snapshot_of
from pydpdk_defer.errors import DeferError


def test_a_newer_datapath_tells_more_than_is_known() -> None:
    answer = lists(2.0, pmd__rx_packets=7)
    for name in ("pmd", "rxqs", "txqs", "dma", "ports", "mempools"):
        for record in answer[name]:
            record["a_counter_of_tomorrow"] = 1
    found = snapshot_of(answer)
    assert found == snapshot_of(lists(2.0, pmd__rx_packets=7))


def test_an_older_datapath_lacks_what_is_needed() -> None:
    answer = lists(2.0)
    for record in answer["txqs"]:
        del record["retries"]
    with pytest.raises(DeferError, match=r"another release.*txq records have no 'retries'") as told:
        snapshot_of(answer)
    assert told.value.errno == EPROTO


def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "_TIMEOUT_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)  # the whole path may be too long for a socket
    asked = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind("dpdk_telemetry.v2")
        server.listen()

        def answer_late() -> None:
            connection, _ = server.accept()
            with connection:
                connection.send(json.dumps({"version": "x", "pid": 7, "max_output_len": 1024}).encode())
                connection.recv(1024)
                asked.wait(30)

        thread = threading.Thread(target=answer_late)
        thread.start()
        with Attached(Path()) as attached:
            with pytest.raises(DeferError, match=r"process 7 did not answer within 0\.1 s") as told:
                attached.ask("/first")
            asked.set()
            with pytest.raises(DeferError, match="did not answer"):
                attached.ask("/second")
        thread.join()
    assert told.value.errno == ETIMEDOUT
