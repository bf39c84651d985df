# SPDX-License-Identifier: BSD-3-Clause
"""What a virtio-user device is called: the arguments of DPDK's vdev, made from a guest's settings."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydpdk_defer.errors import UsageError

__all__ = ["DEFAULT_RING_SIZE", "Device", "describe", "feature_names"]

DEFAULT_RING_SIZE = 1024
_MAX_PATH_BYTES = 107  # sun_path, with its end
_MAX_QUEUES = 8  # of the driver
_MAX_RING_SIZE = 32768
_OWN_OPTION = {
    "path": "the socket",
    "server": "server (--server)",
    "queues": "queues (--queues)",
    "mac": "mac (--mac)",
}
_DRIVER_ARGUMENTS = ("cq", "in_order", "mrg_rxbuf", "packed_vq", "queue_size", "speed", "vectorized")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")

# Bits of the virtio specification, and of vhost-user (PROTOCOL_FEATURES).
_FEATURES = {
    0: "CSUM",
    1: "GUEST_CSUM",
    3: "MTU",
    5: "MAC",
    7: "GUEST_TSO4",
    8: "GUEST_TSO6",
    11: "HOST_TSO4",
    12: "HOST_TSO6",
    15: "MRG_RXBUF",
    16: "STATUS",
    17: "CTRL_VQ",
    18: "CTRL_RX",
    22: "MQ",
    28: "INDIRECT_DESC",
    29: "EVENT_IDX",
    30: "PROTOCOL_FEATURES",
    32: "VERSION_1",
    33: "ACCESS_PLATFORM",
    34: "RING_PACKED",
    35: "IN_ORDER",
    36: "ORDER_PLATFORM",
}


@dataclass(frozen=True)
class Device:
    """A vdev with its arguments, and what of them the memory depends on."""

    spec: str
    ring_size: int


def describe(socket: str, *, server: bool, queues: int, mac: str | None, virtio: str) -> Device:
    """The device for a socket; `virtio` holds further arguments of the driver, `NAME=VALUE,...`.

    Wrong values are `ValueError`.
    """
    if "," in socket or not socket or len(str(Path(socket).absolute()).encode()) > _MAX_PATH_BYTES:
        raise UsageError(f"{socket!r} cannot be a socket: a path has 1 to {_MAX_PATH_BYTES} bytes and no comma")
    if not 1 <= queues <= _MAX_QUEUES:
        raise UsageError(f"queues must be 1 to {_MAX_QUEUES}, not {queues}")
    arguments = {"path": str(Path(socket).absolute()), "queues": str(queues), "queue_size": str(DEFAULT_RING_SIZE)}
    if server:
        arguments["server"] = "1"
    if mac is not None:
        if not _MAC.fullmatch(mac):
            raise UsageError(f"{mac!r} is no MAC address, such as 02:00:00:00:00:01")
        arguments["mac"] = mac
    arguments |= _further(virtio)
    return Device(
        spec=",".join(["net_virtio_user0", *(f"{name}={value}" for name, value in arguments.items())]),
        ring_size=_ring_size(arguments["queue_size"], packed=arguments.get("packed_vq") == "1"),
    )


def feature_names(bits: int) -> list[str] | None:
    """The names of feature bits; None when nothing is known about them."""
    if bits == 0:
        return None
    return [_FEATURES.get(bit, f"bit {bit}") for bit in range(64) if bits >> bit & 1]


def _further(virtio: str) -> dict[str, str]:
    arguments = {}
    for part in filter(None, virtio.split(",")):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise UsageError(f"virtio: {part!r} is not NAME=VALUE, such as packed_vq=1")
        if name in _OWN_OPTION:
            raise UsageError(f"virtio: {name} is set by {_OWN_OPTION[name]}")
        if name not in _DRIVER_ARGUMENTS:
            raise UsageError(f"virtio: unknown argument {name!r}; known: {', '.join(_DRIVER_ARGUMENTS)}")
        arguments[name] = value
    return arguments


def _ring_size(text: str, *, packed: bool) -> int:
    size = int(text) if text.isascii() and text.isdigit() else 0
    if not 64 <= size <= _MAX_RING_SIZE or (not packed and size & (size - 1)):
        raise UsageError(f"virtio: queue_size={text} is no power of two from 64 to {_MAX_RING_SIZE}")
    return size
