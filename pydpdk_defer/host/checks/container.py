# SPDX-License-Identifier: BSD-3-Clause
"""What a container keeps from its processes."""

from collections.abc import Iterator

from pydpdk_defer.host.checks.check import Check, Host

__all__ = ["container_checks"]

_WHY_CPUSET = "threads can only be pinned to CPUs of the container"
_WHY_QUOTA = "a thread that polls uses its share up, and stands still for the rest of each period"
_WHY_HUGEPAGES = "hugepages that the host has may not be the container's"
_WHY_CAPABILITIES = "vdevs need none; devices bound to vfio-pci need IPC_LOCK or a high memlock limit"
_WHY_SECCOMP = "a filter may refuse what places memory on NUMA nodes (mbind); EAL then goes without"
_IPC_LOCK, _SYS_ADMIN = 14, 21


def container_checks(host: Host) -> Iterator[Check]:
    """Limits that are in force, in a container or in a slice of systemd's."""
    online = host.cpu_list("sys/devices/system/cpu/online")
    if online and len(host.cpus) < len(online):
        found = f"{len(host.cpus)} of {len(online)} CPUs"
        yield Check("cpuset", "OK" if len(host.cpus) > 1 else "WARN", found, _WHY_CPUSET, ())
    quota = host.text("sys/fs/cgroup/cpu.max").split()
    if quota and quota[0] != "max":
        command = ("start the container without --cpus; use --cpuset-cpus",)
        found = f"{int(quota[0]) / int(quota[1]):g} CPUs' time" if len(quota) == 2 else quota[0]
        yield Check("CPU quota", "WARN", found, _WHY_QUOTA, command)
    for limit in host.entries("sys/fs/cgroup", "hugetlb.*.max"):
        allowed = host.number(str(limit.relative_to(host.root)))
        if allowed == 0:
            size = limit.name.split(".")[1]
            command = ("raise the container's hugetlb limit: hugepages-2Mi in Kubernetes",)
            yield Check(f"hugepages of {size} in the container", "WARN", "none allowed", _WHY_HUGEPAGES, command)
    if not _is_container(host):
        return
    effective = int(host.status_line("CapEff") or "0", 16)
    names = [name for name, bit in (("IPC_LOCK", _IPC_LOCK), ("SYS_ADMIN", _SYS_ADMIN)) if effective >> bit & 1]
    yield Check("capabilities", "OK", ", ".join(names) or "none that matter", _WHY_CAPABILITIES)
    if host.status_line("Seccomp") == "2":
        yield Check("seccomp", "OK", "a filter is in force", _WHY_SECCOMP)


def _is_container(host: Host) -> bool:
    marks = host.exists(".dockerenv") or host.exists("run/.containerenv")
    return marks or any(word in host.text("proc/1/cgroup") for word in ("docker", "kubepods", "libpod", "containerd"))
