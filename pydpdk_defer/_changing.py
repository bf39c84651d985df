# SPDX-License-Identifier: BSD-3-Clause
"""Brings a running datapath from one topology to another without losing what it has accepted.

Threads first let go of what changes: they send what they have received, do what they have deferred, and poll on
what stays. A txq that nobody owns then is drained before another thread, or nobody, has it. What threads handed over to
each other is taken before it is let go of.
"""

import time
from collections.abc import Sequence, Set

from pydpdk_defer import _native
from pydpdk_defer._building import Parts, add_ports, set_bridge, set_handoffs, set_sinks
from pydpdk_defer._topology_host import core_faults, socket_faults
from pydpdk_defer.errors import TopologyError
from pydpdk_defer.plan import Plan, PmdPlan, make_plan
from pydpdk_defer.topology import Port, Topology, VhostPort

__all__ = ["DRAIN_TIMEOUT_MS", "change", "check_change", "check_host", "rearrange", "reload_all"]

DRAIN_TIMEOUT_MS = 5000
_TICK_SECONDS = 0.001


def check_change(now: Topology, then: Topology) -> None:
    """A `TopologyError` lists what cannot change while the datapath runs."""
    faults = [
        f"{table}: cannot change while the datapath runs; start another Datapath"
        for table in ("eal", "dma")
        if getattr(now, table) != getattr(then, table)
    ]
    faults += [
        f"port.{name}: the options of a port cannot change while it is there; remove it first, then add it"
        for name, port in then.port.items()
        if name in now.port and not _differs_in_copy_alone(now.port[name], port)
    ]
    if faults:
        raise TopologyError("\n".join(faults))


def _differs_in_copy_alone(now: Port, then: Port) -> bool:
    """True also when nothing differs."""
    if isinstance(now, VhostPort) and isinstance(then, VhostPort):
        now = now.model_copy(update={"copy_": then.copy_})
    return now == then


def check_host(now: Topology, then: Topology, available_cpus: Set[int]) -> None:
    """A `TopologyError` lists what of the new is in the way on this host."""
    new = {name: port for name, port in then.port.items() if name not in now.port}
    faults = [*core_faults(then.pmd, available_cpus), *socket_faults(new)]
    if faults:
        raise TopologyError("\n".join(faults))


def change(parts: Parts, now: Topology, then: Topology) -> None:
    """Make it so; ports that are new bring nothing in yet. An error while these are made leaves all as it was."""
    added = {name: port for name, port in then.port.items() if name not in now.port}
    new_cores = [pmd.core for pmd in then.pmd if pmd.core not in parts.pmds]
    circumstances = parts.circumstances()
    plan = make_plan(then, circumstances)
    try:
        add_ports(then, added, parts)
        set_handoffs(parts, plan)
        for core in new_cores:
            _start_idle(core, then, parts)
    except BaseException:
        for core in new_cores:
            _stop(core, parts)
        _remove_handoffs(parts, parts.plan)
        for name in added:
            _remove_port(name, parts)
        raise
    set_sinks(parts, plan)
    kept = _let_go_of_what_changes(parts, now, plan)
    _remove_handoffs(parts, plan)
    for name in now.port:
        if name not in then.port:
            _remove_port(name, parts)
    set_bridge(parts, then, now.forward)
    for core, pmd in plan.pmds.items():
        if pmd != kept.get(core) or then.deferral != now.deferral or then.forward != now.forward:
            _reload(core, pmd, then, parts)
    parts.plan, parts.planned_for = plan, circumstances


def rearrange(parts: Parts, topology: Topology) -> None:
    """Make a plan anew, as circumstances are others than they were."""
    change(parts, topology, topology)


def reload_all(parts: Parts, topology: Topology) -> None:
    """Have every thread take up what it does once more, as captures are others than they were."""
    for core, pmd in parts.plan.pmds.items():
        _reload(core, pmd, topology, parts)


def _start_idle(core: int, topology: Topology, parts: Parts) -> None:
    work = parts.work_of(PmdPlan(core))
    thread = _native.PmdThread(core=core, **work, **topology.deferral.model_dump())
    thread.start()
    parts.pmds[core] = thread


def _reload(core: int, pmd: PmdPlan, topology: Topology, parts: Parts) -> None:
    parts.pmds[core].reload(**parts.work_of(pmd), **topology.deferral.model_dump())


def _let_go_of_what_changes(parts: Parts, now: Topology, plan: Plan) -> dict[int, PmdPlan]:
    """What each thread still works on then. Who takes from a handoff that is to go does so until it is empty."""
    kept = {core: pmd.common(plan.pmds.get(core, PmdPlan(core))) for core, pmd in parts.plan.pmds.items()}
    emptying = {core: pmd.with_handoffs(parts.plan.pmds[core].handoffs) for core, pmd in kept.items()}
    for core, pmd in parts.plan.pmds.items():
        if emptying[core] != pmd:
            _reload(core, emptying[core], now, parts)
    _wait_until_empty([handoff for txq, handoff in parts.handoffs.items() if txq not in plan.handoffs])
    for core, pmd in kept.items():
        if core not in plan.pmds:
            _stop(core, parts)
        elif pmd != emptying[core]:
            _reload(core, pmd, now, parts)
    for core, pmd in parts.plan.pmds.items():
        for output in pmd.outputs:
            if output.sender is None and output not in kept[core].outputs:
                parts.ports[output.port].drain_txq(output.qid, DRAIN_TIMEOUT_MS)
    return kept


def _wait_until_empty(handoffs: Sequence[_native.HandoffPort]) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT_MS / 1000
    while any(handoff.waiting for handoff in handoffs) and time.monotonic() < deadline:
        time.sleep(_TICK_SECONDS)


def _remove_handoffs(parts: Parts, plan: Plan) -> None:
    """Those that the plan does not have; nobody uses them any more."""
    for txq in set(parts.handoffs) - plan.handoffs:
        handoff = parts.handoffs.pop(txq)
        handoff.close()
        parts.handoff_drops[txq] += handoff.dropped
    for txq in set(parts.relays) - plan.relays:
        del parts.relays[txq]


def _stop(core: int, parts: Parts) -> None:
    thread = parts.pmds.pop(core, None)
    if thread is not None:
        thread.stop()


def _remove_port(name: str, parts: Parts) -> None:
    if name in parts.ports:
        parts.ports[name].drain(DRAIN_TIMEOUT_MS)
        parts.ports[name].close()
        parts.forget_port(name)
