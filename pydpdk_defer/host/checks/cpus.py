# SPDX-License-Identifier: BSD-3-Clause
"""CPUs: how many, how fast, and who else uses them."""

from collections.abc import Iterator

from pydpdk_defer.host.checks.check import Check, Host
from pydpdk_defer.host.cpus import cpu_places

__all__ = ["cpu_checks"]

_CPU = "sys/devices/system/cpu"
_WHY_CPUS = "a PMD thread polls without pause, and wants a CPU to itself"
_WHY_CORE = "a PMD thread is pinned to its core"
_WHY_ISOLATED = "what else runs on a PMD thread's CPU makes packets wait"
_WHY_GOVERNOR = "a frequency that changes makes figures of different times differ"
_WHY_TURBO = "the frequency depends on what other cores do"
_WHY_BALANCING = "the kernel unmaps pages to see who uses them, and threads that poll stumble over it"
_WHY_SIBLINGS = "two threads of one core share its units: each is slower"


def cpu_checks(host: Host) -> Iterator[Check]:
    """CPUs that may be used, cores of the topology, isolation, frequency, balancing, siblings."""
    cores = host.pmd_cores
    if host.topology is None:
        count = len(host.cpus)
        yield Check("CPUs", "OK" if count > 2 else "WARN", f"{count} may be used", _WHY_CPUS)
    for core in sorted(set(cores) - host.cpus):
        known = ", ".join(map(str, sorted(host.cpus)))
        command = (f"choose one of: {known}",)
        yield Check(f"core {core}", "FAIL", "this process may not use it", _WHY_CORE, command)
    yield from _isolation(host, cores)
    yield from _frequency(host, cores)
    if host.text("proc/sys/kernel/numa_balancing") == "1":
        command = ("echo 0 | sudo tee /proc/sys/kernel/numa_balancing",)
        yield Check("NUMA balancing", "WARN", "on", _WHY_BALANCING, command)
    elif host.exists("proc/sys/kernel/numa_balancing"):
        yield Check("NUMA balancing", "OK", "off", _WHY_BALANCING)
    yield from _siblings(host, cores)


def _isolation(host: Host, cores: list[int]) -> Iterator[Check]:
    isolated = host.cpu_list(f"{_CPU}/isolated")
    missing = sorted(set(cores) - set(isolated))
    listed = ",".join(map(str, missing or sorted(host.cpus)[1:]))
    boot = (f"boot with isolcpus={listed} nohz_full={listed} rcu_nocbs={listed}",)
    if isolated and not missing:
        yield Check("isolated CPUs", "OK", ", ".join(map(str, isolated)), _WHY_ISOLATED)
    else:
        found = f"{', '.join(map(str, missing))} of the PMD threads are not" if isolated and missing else "none"
        yield Check("isolated CPUs", "WARN", found, _WHY_ISOLATED, boot)


def _frequency(host: Host, cores: list[int]) -> Iterator[Check]:
    governors = {
        governor
        for cpu in cores or sorted(host.cpus)
        if (governor := host.text(f"{_CPU}/cpu{cpu}/cpufreq/scaling_governor"))
    }
    if governors == {"performance"}:
        yield Check("frequency governor", "OK", "performance", _WHY_GOVERNOR)
    elif governors:
        command = ("sudo cpupower frequency-set -g performance",)
        yield Check("frequency governor", "WARN", ", ".join(sorted(governors)), _WHY_GOVERNOR, command)
    no_turbo, boost = host.text(f"{_CPU}/intel_pstate/no_turbo"), host.text(f"{_CPU}/cpufreq/boost")
    if no_turbo == "0":
        command = (f"echo 1 | sudo tee /{_CPU}/intel_pstate/no_turbo",)
        yield Check("turbo", "WARN", "on", _WHY_TURBO, command)
    elif boost == "1":
        yield Check("turbo", "WARN", "on", _WHY_TURBO, (f"echo 0 | sudo tee /{_CPU}/cpufreq/boost",))
    elif no_turbo or boost:
        yield Check("turbo", "OK", "off", _WHY_TURBO)


def _siblings(host: Host, cores: list[int]) -> Iterator[Check]:
    places = cpu_places(cores, host.root)
    shared = sorted(core for core in cores if sum(places[core] == places[other] for other in cores) > 1)
    if shared:
        listed = ", ".join(map(str, shared))
        command = ("choose cores by: lscpu -e=CPU,CORE,NODE",)
        yield Check("SMT siblings", "WARN", f"PMD threads on CPUs {listed} share a core", _WHY_SIBLINGS, command)
    elif len(cores) > 1:
        yield Check("SMT siblings", "OK", "no two PMD threads share a core", _WHY_SIBLINGS)
