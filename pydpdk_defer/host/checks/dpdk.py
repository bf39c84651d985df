# SPDX-License-Identifier: BSD-3-Clause
"""DPDK itself: what was compiled against, what is loaded, and its plug-ins."""

from collections.abc import Iterator

from pydpdk_defer.host.checks.check import Check, Host
from pydpdk_defer.topology import EthdevPort

__all__ = ["dpdk_checks"]

_WHY_SAME = "an extension and a DPDK of different releases may not fit each other's structures"
_WHY_PLUGINS = "EAL loads every plug-in of its folder, and does not start with one of another DPDK"
_WHY_DRIVER = "without its driver a device cannot be opened"


def dpdk_checks(host: Host) -> Iterator[Check]:
    """Compiled against loaded, plug-ins, and the drivers that a topology names."""
    compiled, loaded = (version.split(".")[:2] for version in (host.dpdk_compiled, host.dpdk_loaded))
    versions = f"compiled against {host.dpdk_compiled}, {host.dpdk_loaded} is loaded"
    rebuild = ("python -m pip install --force-reinstall --no-binary pydpdk_defer pydpdk_defer",)
    if compiled == loaded:
        yield Check("DPDK", "OK", versions, _WHY_SAME)
    else:
        yield Check("DPDK", "FAIL", versions, _WHY_SAME, rebuild)
    faults = host.plugins.faults()
    if faults:
        yield Check("PMD plug-ins", "FAIL", "; ".join(faults), _WHY_PLUGINS, ("sudo apt-get install libdpdk-dev",))
    else:
        count = len(host.plugins.plugins)
        found = f"{count} in {host.plugins.folder}" if host.plugins.folder else "linked statically"
        yield Check("PMD plug-ins", "OK", found, _WHY_PLUGINS)
        yield from _drivers(host)


def _drivers(host: Host) -> Iterator[Check]:
    """Virtual network devices of a topology, whose names begin with their driver's."""
    if host.topology is None or host.plugins.folder is None:
        return
    known = {driver.name for driver in host.plugins.drivers()}
    named = [
        (f"port.{name}", port.device)
        for name, port in host.topology.port.items()
        if isinstance(port, EthdevPort) and port.device.startswith("net_")
    ]
    for name, device in named:
        driver = device.partition(",")[0].rstrip("0123456789")
        if driver in known:
            yield Check(name, "OK", f"{device}: the plug-in of {driver} is there", _WHY_DRIVER)
        else:
            install = ("sudo apt-get install libdpdk-dev",)
            yield Check(name, "FAIL", f"{device}: no plug-in has a driver {driver}", _WHY_DRIVER, install)
