# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of a datapath over HTTP, by prometheus_client: what DPDK's exporter tells, under the same names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pydpdk_defer.attach import Attached
from pydpdk_defer.endpoints import defer
from pydpdk_defer.errors import DeferError

__all__ = ["NAMESPACE", "serving"]

NAMESPACE = "dpdk_defer_"  # as dpdk-telemetry-exporter.py names them
_TOTAL = "_total"


class _Asker:
    """What the endpoint asks, as DPDK's exporter has it."""

    def __init__(self, attached: Attached) -> None:
        self._attached = attached

    def cmd(self, command: str, parameter: object = None) -> Any:
        return self._attached.ask(command if parameter is None else f"{command},{parameter}")


class _Collector(Collector):
    """Asks the datapath anew each time, by its telemetry socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        with Attached(self._folder) as attached:
            values = defer.metrics(_Asker(attached))
        for name, (text, kind) in defer.info().items():
            of_name = [(value, labels) for metric, value, labels in values if metric == name]
            if of_name:
                keys = list(of_name[0][1])
                family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(
                    NAMESPACE + name.removesuffix(_TOTAL), text, labels=keys
                )
                for value, labels in of_name:
                    family.add_metric([str(labels[key]) for key in keys], value)
                yield family


@contextmanager
def serving(folder: Path, host: str, port: int) -> Iterator[int]:
    """Answer scrapes of the datapath with this runtime folder until the end of the context. Gives the port, for 0.

    Raises `DeferError` when the address is taken.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(folder))
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or EINVAL
        reason = getattr(error, "strerror", None) or str(error)
        raise DeferError(
            f"--metrics {host}:{port}: {reason}", number, "choose an address of this host and a free port"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
