# SPDX-License-Identifier: BSD-3-Clause
"""What `pydpdk-defer top` shows: a running datapath's rates from the difference of two looks, as lines of text.

It knows no terminal: who draws gives it the size, and the keys.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydpdk_defer._stats_text import rate
from pydpdk_defer.attach import Records, snapshot_of
from pydpdk_defer.stats import Snapshot, Txq
from pydpdk_defer.views.columns import fitted, shortened

__all__ = ["KEYS", "MIN_HEIGHT", "MIN_WIDTH", "SORTS", "Look", "Top"]

MIN_WIDTH, MIN_HEIGHT = 60, 12
SORTS = ("name", "rate", "in flight", "drops")
KEYS = "q quit  p pause  s sort  c clear  up/down  enter one queue"


@dataclass(frozen=True)
class Look:
    """What telemetry answered at one time. `times`: in flight, by (port, txq)."""

    lists: Mapping[str, Records]
    times: Mapping[tuple[str, int], Mapping[str, int]] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        """The counters."""
        return snapshot_of(self.lists)


class Top:
    """What is shown, and how the keys change it. `who`: which datapath, in words."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._now: Look | None = None
        self._counted: Snapshot | None = None  # at the last look
        self._grown: Snapshot | None = None  # between the last two
        self._baseline: Snapshot | None = None
        self._since_clear: Snapshot | None = None
        self.is_paused = False
        self.is_detail = False
        self.sort = SORTS[0]
        self._chosen: tuple[str, int] | None = None

    def look(self, look: Look) -> None:
        """One more look; while paused it changes nothing."""
        if self.is_paused:
            return
        before, self._now, self._counted = self._counted, look, look.snapshot
        if self._baseline is None:
            self._baseline = self._counted
        self._since_clear = self._counted - self._baseline
        self._grown = self._counted - before if before is not None else None

    def key(self, key: str) -> None:
        """A key, by its name: "p", "s", "c", "up", "down", "enter", "escape"."""
        if key == "p":
            self.is_paused = not self.is_paused
        elif key == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        elif key == "c":
            self._baseline = self._counted
            if self._counted is not None:
                self._since_clear = self._counted - self._counted
        elif key in ("up", "down"):
            self._choose(-1 if key == "up" else 1)
        elif key == "enter":
            self.is_detail = not self.is_detail and self._choice() is not None
        elif key == "escape":
            self.is_detail = False

    def lines(self, width: int, height: int) -> list[str]:
        """The screen: at most `height` lines of at most `width` characters, the keys in the last one."""
        if width < MIN_WIDTH or height < MIN_HEIGHT:
            return [f"the terminal is {width}x{height}; top needs {MIN_WIDTH}x{MIN_HEIGHT}"[:width]][:height]
        body = list(self._body(width))
        room = height - 2
        if len(body) > room:
            body = [*body[: room - 1], f"  ... {len(body) - room + 1} more lines"]
        body += [""] * (room - len(body))
        return [self._title(width), *body, KEYS]

    def marked(self, lines: Sequence[str]) -> int | None:
        """Which of the lines is of the queue that is chosen."""
        if (choice := self._choice()) is None or self.is_detail:
            return None
        name = f"{shortened(choice[0])}:{choice[1]} "
        return next((number for number, line in enumerate(lines) if line.strip().startswith(name)), None)

    # ---- parts ----

    def _title(self, width: int) -> str:
        up = f"up {_clock(self._counted.seconds)}" if self._counted else "no answer yet"
        state = f"  {up}  by {self.sort}{'  PAUSED' if self.is_paused else ''}"
        return shortened(f"pydpdk-defer top  {self._who}", width - len(state)) + state

    def _body(self, width: int) -> Iterator[str]:
        if self._counted is None or self._now is None:
            return
        if self.is_detail and (choice := self._choice()) is not None:
            yield from self._detail(*choice, width)
            return
        yield ""
        yield from fitted(_PMD_HEAD, list(self._pmds()), width, ("idle", "chk/item", "cyc/pkt", "tx"))
        yield ""
        queues = [self._queue(name, qid) for name, qid in self._order()]
        yield from fitted(_QUEUE_HEAD, queues, width, ("most by", "copied by", "in"))
        if self._counted.dma:
            yield ""
            yield from fitted(_DMA_HEAD, list(self._dma()), width, ("device",))

    def _pmds(self) -> Iterator[tuple[str, ...]]:
        assert self._now is not None
        grown = {pmd.core: pmd for pmd in self._grown.pmds} if self._grown else {}
        for record in self._now.lists["deferral"]:
            core = f"core {record['core']}"
            ring = f"{record['work_pending']}/{record['ring_size'] - 1}"
            pmd = grown.get(record["core"])
            if pmd is None or self._grown is None:
                yield (core, *["-"] * 6, ring)
                continue
            seconds, used = self._grown.seconds, pmd.busy_cycles + pmd.idle_cycles + pmd.sleep_cycles
            yield (
                core,
                rate(pmd.rx_packets, seconds),
                rate(pmd.tx_packets, seconds),
                _percent(pmd.busy_cycles, used),
                _percent(pmd.idle_cycles, used),
                _ratio(pmd.busy_cycles, pmd.rx_packets, ".0f"),
                _ratio(pmd.work_in_progress + pmd.work_done, pmd.work_done, ".2f"),
                ring,
            )

    def _queue(self, name: str, qid: int) -> tuple[str, ...]:
        assert self._counted is not None
        port = self._counted.ports[name]
        txq = port.txqs[qid]
        since = self._since(name, qid)
        dropped = sum(since.drops.values())
        worst = max(since.drops, key=lambda reason: since.drops[reason]) if dropped else ""
        grown = self._grown_queue(name, qid)
        rates = ("-", "-")
        if grown is not None and self._grown is not None:
            rates = (rate(self._received(name, qid), self._grown.seconds), rate(grown.completed, self._grown.seconds))
        return (
            f"{shortened(name)}:{qid}",
            *rates,
            str(txq.in_flight),
            str(dropped),
            worst,
            _engine(grown or txq) if port.kind == "vhost" else "",
        )

    def _dma(self) -> Iterator[tuple[str, ...]]:
        assert self._counted is not None
        for name, device in self._counted.dma.items():
            grown = self._grown.dma.get(name) if self._grown else None
            copies = rate(grown.completed, self._grown.seconds, "/s") if grown and self._grown else "-"
            state = "out of use" if device.out_of_use else "in use"
            in_flight = str(device.submitted - device.completed)
            yield (shortened(name), copies, in_flight, str(device.errors), state, shortened(device.origin))

    def _detail(self, name: str, qid: int, width: int) -> Iterator[str]:
        assert self._counted is not None
        assert self._now is not None
        txq, since, grown = self._counted.ports[name].txqs[qid], self._since(name, qid), self._grown_queue(name, qid)
        yield shortened(f"transmit queue {name}:{qid}", width)
        yield ""
        table = []
        for counter in (key for key in txq if isinstance(txq[key], int)):
            each = rate(grown[counter], self._grown.seconds, "") if grown and self._grown else "-"
            level = counter in Txq.levels
            told = (str(txq[counter]), "", "", "") if level else ("", each, str(since[counter]), str(txq[counter]))
            table.append((counter, *told))
        for group in ("bytes_by_engine", "drops"):
            for key, count in txq[group].items():
                each = rate(grown[group][key], self._grown.seconds, "") if grown and self._grown else "-"
                table.append((f"{group} {key}", "", each, str(since[group][key]), str(count)))
        yield from fitted(_DETAIL_HEAD, table, width, ("since clear", "each second"))
        if (times := self._now.times.get((name, qid))) and times["count"]:
            words = "  ".join(f"{key.removesuffix('_ns')} {times[key] / 1000:.1f}" for key in times if key != "count")
            yield ""
            text = f"in flight, us, since start: {words}"
            yield from textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")

    # ---- figures ----

    def _order(self) -> list[tuple[str, int]]:
        assert self._counted is not None
        queues = [(name, qid) for name, qid, _ in self._counted.txqs()]
        if self.sort == "name":
            return sorted(queues)
        return sorted(queues, key=self._weight, reverse=True)

    def _weight(self, queue: tuple[str, int]) -> float:
        assert self._counted is not None
        grown = self._grown_queue(*queue)
        if self.sort == "in flight":
            return self._counted.ports[queue[0]].txqs[queue[1]].in_flight
        if self.sort == "drops":
            return sum(self._since(*queue).drops.values())
        return max(grown.completed, self._received(*queue)) if grown else 0

    def _grown_queue(self, name: str, qid: int) -> Txq | None:
        ports = self._grown.ports if self._grown else {}
        return ports[name].txqs[qid] if name in ports and qid < len(ports[name].txqs) else None

    def _received(self, name: str, qid: int) -> int:
        assert self._grown is not None
        rxqs = self._grown.ports[name].rxqs
        return rxqs[qid].packets if qid < len(rxqs) else 0

    def _since(self, name: str, qid: int) -> Txq:
        assert self._since_clear is not None
        return self._since_clear.ports[name].txqs[qid]

    def _choice(self) -> tuple[str, int] | None:
        queues = self._order() if self._counted is not None else []
        if self._chosen in queues:
            return self._chosen
        return queues[0] if queues else None

    def _choose(self, step: int) -> None:
        queues = self._order() if self._counted is not None else []
        if (choice := self._choice()) is not None:
            self._chosen = queues[max(0, min(len(queues) - 1, queues.index(choice) + step))]


_PMD_HEAD = ("PMD", "rx", "tx", "busy", "idle", "cyc/pkt", "chk/item", "ring")
_QUEUE_HEAD = ("queue", "in", "out", "in flight", "dropped", "most by", "copied by")
_DMA_HEAD = ("DMA", "copies", "in flight", "errors", "state", "device")
_DETAIL_HEAD = ("counter", "now", "each second", "since clear", "since start")


def _engine(txq: Txq) -> str:
    engines = [engine for engine in ("dma", "cpu") if txq.bytes_by_engine[engine]]
    return "+".join(engines) or "-"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _ratio(part: float, whole: float, form: str) -> str:
    return format(part / whole, form) if whole else "-"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
