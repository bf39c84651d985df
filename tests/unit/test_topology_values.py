# SPDX-License-Identifier: BSD-3-Clause
"""Values that will not do: each gives one line that names the key, the value, and what would do."""

import errno
from typing import Any

import pytest

from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import Topology

GENERATOR: dict[str, Any] = {"kind": "generator"}
VHOST: dict[str, Any] = {"kind": "vhost", "socket": "/tmp/vm0.sock"}
ETHDEV: dict[str, Any] = {"kind": "ethdev", "device": "net_null0"}
SKELETON: dict[str, Any] = {"device": "dma_skeleton0,lcore=0"}
PMD: dict[str, Any] = {"core": 1, "rxqs": ["src:0"]}
WIRE: dict[str, Any] = {"wires": [["src", "vm0"]]}

POWER = "must be a power of two from"
PAIR = "must be [size, weight], size from 60 to 16128 bytes, weight from 1 to 4096"
SIZE = 'must be a size in bytes from 60 to 16128, "imix", or a list of [size, weight]'
RATE = "must be a finite number of at least 0 (packets per second; 0: as fast as it goes)"
TEXT = "must be text in quotes"
PREFIX = "must be 1 to 32 letters, digits, '_', '-' or '.', no '.' first"


def faults(tables: dict[str, Any]) -> list[str]:
    """The lines of the error that the small topology, with these tables replaced, gives."""
    ports = {"src": GENERATOR, "vm0": VHOST}
    small = {"port": ports, "pmd": [PMD], "forward": WIRE}
    with pytest.raises(TopologyError) as caught:
        Topology.from_dict({**small, **tables})
    assert caught.value.errno == errno.EINVAL
    return caught.value.strerror.splitlines()


def port(**keys: Any) -> dict[str, Any]:
    """The port table with further keys for `src` (generator), `vm0` (vhost) and `eth` (ethdev)."""
    ports = {"src": GENERATOR, "vm0": VHOST, "eth": ETHDEV}
    return {"port": {name: {**table, **keys.get(name, {})} for name, table in ports.items()}}


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"eal": {"memory_mb": 63}}, "eal.memory_mb = 63: must be a whole number from 64 to 1048576"),
        (
            {"eal": {"memory_mb": "512"}},
            'eal.memory_mb = "512": must be a whole number from 64 to 1048576, without quotes',
        ),
        ({"eal": {"memory_mb": 512.0}}, "eal.memory_mb = 512.0: must be a whole number from 64 to 1048576"),
        ({"eal": {"memory_mb": True}}, "eal.memory_mb = true: must be a whole number from 64 to 1048576"),
        ({"eal": {"hugepages": "yes"}}, 'eal.hugepages = "yes": must be "auto", true or false'),
        ({"eal": {"hugepages": 1}}, 'eal.hugepages = 1: must be "auto", true or false'),
        ({"eal": {"pci": "true"}}, 'eal.pci = "true": must be true or false'),
        (
            {"eal": {"extra_args": "--no-telemetry"}},
            'eal.extra_args = "--no-telemetry": must be a list of EAL options in quotes',
        ),
        ({"eal": {"extra_args": ["-v", 3]}}, f"eal.extra_args[1] = 3: {TEXT}"),
        *(
            (
                {"eal": {"file_prefix": prefix}},
                f'eal.file_prefix = "{prefix}": {PREFIX}',
            )
            for prefix in ("", "a/b", "..", "x" * 33, "é")
        ),
        ({"dma": {"d": {}}}, 'dma.d.device: missing; add for example device = "dma_skeleton0,lcore=0"'),
        ({"dma": {"d": {"device": ""}}}, 'dma.d.device = "": must not be empty'),
        (
            {"dma": {"d": {"device": "a\0b"}}},
            'dma.d.device = "a\\u0000b": must hold only printable characters',
        ),
        *(
            (
                {"dma": {"d": {**SKELETON, "ring_size": size}}},
                f"dma.d.ring_size = {size}: {POWER} 256 to 32768 "
                "(with fewer descriptors vhost may never accept a packet of 64 KB)",
            )
            for size in (0, -256, 128, 65536)
        ),
        (
            {"dma": {"d": {**SKELETON, "ring_size": 1000}}},
            f"dma.d.ring_size = 1000: {POWER} 256 to 32768; 512 or 1024 would do "
            "(with fewer descriptors vhost may never accept a packet of 64 KB)",
        ),
        *((port(src={"frame_size": size}), f"port.src.frame_size = {size}: {SIZE}") for size in (0, 59, 16129, -1)),
        (port(src={"frame_size": "IMIX"}), f'port.src.frame_size = "IMIX": {SIZE}'),
        (port(src={"frame_size": True}), f"port.src.frame_size = true: {SIZE}"),
        (
            port(src={"frame_size": []}),
            "port.src.frame_size = []: must hold 1 to 64 pairs of [size, weight], not 0",
        ),
        (port(src={"frame_size": [64, 128]}), f"port.src.frame_size[0] = 64: {PAIR}"),
        *(
            (port(src={"frame_size": [[64, 1], pair]}), f"port.src.frame_size[1] = {shown}: {PAIR}")
            for pair, shown in (
                ([59, 1], "[59, 1]"),
                ([16129, 1], "[16129, 1]"),
                ([64, 0], "[64, 0]"),
                ([64, 4097], "[64, 4097]"),
                ([64], "[64]"),
                ([64, 1, 1], "[64, 1, 1]"),
                ([64, "1"], '[64, "1"]'),
                ([64, True], "[64, true]"),
            )
        ),
        *((port(src={"rate_pps": rate}), f"port.src.rate_pps = {rate}: {RATE}") for rate in (-1, -0.5)),
        (port(src={"rate_pps": float("nan")}), f"port.src.rate_pps = nan: {RATE}"),
        (port(src={"rate_pps": float("inf")}), f"port.src.rate_pps = inf: {RATE}"),
        (port(eth={"rate_pps": "fast"}), f'port.eth.rate_pps = "fast": {RATE}'),
        *(
            (
                port(**{name: {"queues": count}}),
                f"port.{name}.queues = {count}: must be a whole number from 1 to 16",
            )
            for name in ("src", "vm0", "eth")
            for count in (0, 17)
        ),
        (port(src={"pattern": "on"}), 'port.src.pattern = "on": must be true or false'),
        (
            port(src={"src_mac": "02:00:00:00:00"}),
            'port.src.src_mac = "02:00:00:00:00": must be six bytes in hexadecimal with colons, '
            'as in "02:00:00:00:00:01"',
        ),
        (
            port(src={"src_mac": "01:00:5e:00:00:01"}),
            'port.src.src_mac = "01:00:5e:00:00:01": is a multicast address, no source; "02:00:00:00:00:01" would do',
        ),
        (
            port(src={"dst_mac": "00:00:00:00:00:00"}),
            'port.src.dst_mac = "00:00:00:00:00:00": must not be all zero; "02:00:00:00:00:01" would do',
        ),
        *(
            (port(eth={key: 100}), f"port.eth.{key} = 100: {POWER} 64 to 32768; 64 or 128 would do")
            for key in ("rx_ring_size", "tx_ring_size")
        ),
        *(
            (port(eth={"mtu": mtu}), f"port.eth.mtu = {mtu}: must be a whole number from 68 to 16110")
            for mtu in (67, 16111)
        ),
        (port(eth={"async": 1}), "port.eth.async = 1: must be true or false"),
        (port(eth={"promiscuous": "no"}), 'port.eth.promiscuous = "no": must be true or false'),
        (port(eth={"device": 3}), f"port.eth.device = 3: {TEXT}"),
        (port(vm0={"socket": ""}), 'port.vm0.socket = "": must not be empty'),
        (port(vm0={"mode": "srever"}), 'port.vm0.mode = "srever": must be "server" or "client"'),
        (port(vm0={"copy": "gpu"}), 'port.vm0.copy = "gpu": must be "dma", "cpu" or "auto"'),
        (port(vm0={"dma": "d"}), 'port.vm0.dma = "d": must be a list of DMA names, as in ["copier"]'),
        ({"pmd": [{**PMD, "core": -1}]}, "pmd[0].core = -1: must be a whole number of at least 0"),
        ({"pmd": [PMD, {"rxqs": ["src:0"]}]}, "pmd[1].core: missing; add for example core = 1"),
        ({"pmd": [{"core": 1}]}, 'pmd[0].rxqs: missing; add for example rxqs = ["src:0"]'),
        *(
            (
                {"pmd": [{**PMD, "rxqs": ["src:0", rxq]}]},
                f'pmd[0].rxqs[1] = "{rxq}": must be a receive queue as "PORT:QID", as in "src:0"',
            )
            for rxq in ("src", "src:", "src:-1", "src:01", "src:0 ", ":0", "src:0x")
        ),
        ({"deferral": {"policy": "lifo"}}, 'deferral.policy = "lifo": must be "fifo" or "per_queue"'),
        ({"deferral": {"ring_size": 1}}, f"deferral.ring_size = 1: {POWER} 2 to 65536"),
        (
            {"deferral": {"ring_size": 129}},
            f"deferral.ring_size = 129: {POWER} 2 to 65536; 128 or 256 would do",
        ),
        (
            {"deferral": {"attempt_limit": 0}},
            "deferral.attempt_limit = 0: must be a whole number from 1 to 4294967295",
        ),
        (
            {"deferral": {"iteration_delay": 256}},
            "deferral.iteration_delay = 256: must be a whole number from 0 to 255",
        ),
        ({"forward": {**WIRE, "kind": "l3"}}, 'forward.kind = "l3": must be "wire" or "l2"'),
        (
            {"forward": {"wires": ["src", "vm0"]}},
            'forward.wires[0] = "src": must be two port names, as in ["src", "vm0"]',
        ),
        (
            {"forward": {"wires": [["src", "vm0", "eth"]]}},
            'forward.wires[0] = ["src", "vm0", "eth"]: must be two port names, as in ["src", "vm0"]',
        ),
    ],
)
def test_a_value_that_will_not_do(tables: dict[str, Any], line: str) -> None:
    assert line in faults(tables)


@pytest.mark.parametrize(("path", "fits"), [("/" + "s" * 106, True), ("/" + "s" * 107, False), ("ü" * 54, False)])
def test_a_socket_path_is_measured_in_bytes(path: str, fits: bool) -> None:
    if fits:
        Topology.from_dict({**port(vm0={"socket": path}), "pmd": [PMD], "forward": WIRE})
    else:
        (line,) = faults(port(vm0={"socket": path}))
        assert line.startswith('port.vm0.socket = "')
        assert line.endswith(
            "is 108 bytes long, but at most 107 fit (a socket address, sockaddr_un, has no room for more)"
        )
