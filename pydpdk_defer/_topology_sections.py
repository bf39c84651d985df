# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a topology as frozen models: one class a table, its keys with types, defaults and ranges.

An attribute has the name of its TOML key. Where Python or pydantic needs that name itself the attribute ends
in an underscore: `async_` for `async`, `copy_` for `copy`. What ties one table to another is checked
elsewhere.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pydpdk_defer._topology_base import Flag, FrozenDict, Section
from pydpdk_defer._topology_dma_model import DmaModel
from pydpdk_defer._topology_fields import (
    fault_at,
    frame_size,
    listed,
    mac_address,
    matching,
    number,
    one_of,
    queue_number,
    rxq,
    text,
    whole,
)

__all__ = [
    "DeferralOptions",
    "DmaDevice",
    "DmaModel",
    "EalOptions",
    "EthdevPort",
    "ForwardOptions",
    "GeneratorPort",
    "Name",
    "PmdThread",
    "Port",
    "Section",
    "VhostPort",
]

Name = Annotated[
    str,
    matching(
        "[A-Za-z][A-Za-z0-9_-]{0,31}",
        "a letter and then at most 31 letters, digits, underscores or dashes, as in vm0",
    ),
]
Queues = Annotated[int, whole(1, 16)]
RatePps = Annotated[float, number(0, "packets per second; 0: as fast as it goes")]
Device = Annotated[str, text()]
FrameSize = Annotated[int | Literal["imix"] | tuple[tuple[int, int], ...], frame_size()]
RingSize = Annotated[int, whole(64, 32768, power_of_two=True)]

SOCKET_PATH_BYTES = 107
_NO_ROOM = "a socket address, sockaddr_un, has no room for more"
_SMALL_DMA_RING = "with fewer descriptors vhost may never accept a packet of 64 KB"


class EalOptions(Section):
    """`[eal]`: how DPDK's environment starts.

    `memory_mb`: memory of the mempools, rings and queues, in MiB, 64 to 1048576. `hugepages`: `True`,
    `False`, or `"auto"`, which takes hugepages when free ones exist. `pci`: probe the PCI bus. `extra_args`:
    further EAL options, one word each. `file_prefix`: tells apart DPDK processes of one host, up to 32
    characters.
    """

    memory_mb: Annotated[int, whole(64, 2**20)] = 512
    hugepages: Annotated[Literal["auto"] | bool, one_of("auto", True, False)] = "auto"
    pci: Flag = False
    extra_args: Annotated[tuple[Annotated[str, text()], ...], listed("a list of EAL options in quotes")] = ()
    file_prefix: (
        Annotated[
            str,
            matching("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,31}", "1 to 32 letters, digits, '_', '-' or '.', no '.' first"),
        ]
        | None
    ) = None


class DmaDevice(Section):
    """`[dma.NAME]`: a DMA device that vhost ports may copy with.

    `device`: a vdev with its arguments (`dma_skeleton0,lcore=0`), a PCI address, or the name of an idxd work
    queue. `ring_size`: descriptors of its channel, a power of two from 256 to 32768. `model`: what the device
    shall be like; without one it is as it is.
    """

    device: Annotated[Device, Field(examples=["dma_skeleton0,lcore=0"])]
    ring_size: Annotated[int, whole(256, 32768, power_of_two=True, why=_SMALL_DMA_RING)] = 1024
    model: DmaModel | None = None

    @model_validator(mode="after")
    def _capacity_is_in_the_ring(self) -> Self:
        if self.model is not None and (fault := self.model.capacity_fault(self.ring_size)):
            raise fault_at([(".model.capacity", self.model.capacity, fault)])
        return self


class GeneratorPort(Section):
    """`[port.NAME]` with `kind = "generator"`: makes Ethernet/IPv4/UDP frames, swallows what is sent to it.

    `frame_size`: bytes without FCS from 60 to 16128, `"imix"`, or up to 64 pairs of (size, weight).
    `rate_pps`: packets per second over all queues, 0 for as fast as it goes. `burst`: a paced queue waits
    until so many frames are due, 1 to 32. `queues`: 1 to 16. `pattern`: fill the payload so that a verify
    guest can prove every byte. `src_mac`, `dst_mac`: the addresses in every frame.
    """

    kind: Literal["generator"] = "generator"
    frame_size: FrameSize = 64
    rate_pps: RatePps = 0.0
    burst: Annotated[int, whole(1, 32)] = 1
    queues: Queues = 1
    pattern: Flag = True
    src_mac: Annotated[str, mac_address(source=True)] = "02:00:00:00:00:01"
    dst_mac: Annotated[str, mac_address(source=False)] = "02:00:00:00:00:02"


class EthdevPort(Section):
    """`[port.NAME]` with `kind = "ethdev"`: any DPDK Ethernet device.

    `device`: a vdev with its arguments (`net_null0`) or a PCI address. `queues`: 1 to 16 in each direction.
    `rx_ring_size`, `tx_ring_size`: descriptors, a power of two from 64 to 32768. `mtu`: bytes, 68 to 16110.
    `async_` (key `async`): a send is in progress until the far side has taken the batch. `rate_pps`: paces
    polling, packets per second over all queues, 0 for as fast as it goes. `promiscuous`: take frames for any
    address.
    """

    kind: Literal["ethdev"] = "ethdev"
    device: Annotated[Device, Field(examples=["net_null0"])]
    queues: Queues = 1
    rx_ring_size: RingSize = 1024
    tx_ring_size: RingSize = 1024
    mtu: Annotated[int, whole(68, 16110)] = 1500
    async_: Annotated[Flag, Field(alias="async")] = False
    rate_pps: RatePps = 0.0
    promiscuous: Flag = True


class VhostPort(Section):
    """`[port.NAME]` with `kind = "vhost"`: a vhost-user backend.

    `socket`: path of 1 to 107 bytes. `mode`: `"server"` makes the socket; `"client"` connects to a guest that
    listens, and reconnects. `queues`: queue pairs, 1 to 16. `copy_` (key `copy`): who moves the bytes,
    `"dma"`, `"cpu"`, or `"auto"`, for each batch whichever costs the thread less; when not given, `"dma"` if
    `dma` names a device, else `"cpu"`. `dma_min_bytes`: the mean size of a batch's packets from which on
    `"auto"` takes DMA, up to 65535; 0: it is learned. `dma`: names of `[dma.NAME]` tables; txq q uses the q-th
    in turn, one on the guest's NUMA node before others, and when that one hangs, another of them. `dma_by_queue`:
    queue numbers, as text, with the one device that copies for this queue. `wedge_timeout_ms`: milliseconds, 1 to
    3600000; a device that has work and hands nothing back for so long is taken out of use. `tx_retries_max`: how often
    the rest of a batch is tried again that a full vring did not take, 0 to 32; only while there is progress.
    `vhost_counters`: whether librte_vhost keeps counters of its own, for which it reads the header of every packet.
    """

    kind: Literal["vhost"] = "vhost"
    socket: Annotated[str, text(max_bytes=SOCKET_PATH_BYTES, why=_NO_ROOM), Field(examples=["/tmp/vm0.sock"])]
    mode: Annotated[Literal["server", "client"], one_of("server", "client")] = "server"
    queues: Queues = 1
    copy_: Annotated[Literal["dma", "cpu", "auto"], one_of("dma", "cpu", "auto"), Field(alias="copy")] = "cpu"
    dma_min_bytes: Annotated[int, whole(0, 65535)] = 0
    dma: Annotated[tuple[Annotated[str, text()], ...], listed('a list of DMA names, as in ["copier"]')] = ()
    dma_by_queue: Annotated[
        Mapping[Annotated[str, queue_number()], Annotated[str, text()]], AfterValidator(FrozenDict)
    ] = FrozenDict()
    wedge_timeout_ms: Annotated[int, whole(1, 3_600_000)] = 3000
    tx_retries_max: Annotated[int, whole(0, 32)] = 8
    vhost_counters: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _copy_by_dma_when_there_is_one(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "copy" not in data and (data.get("dma") or data.get("dma_by_queue")):
            return {**data, "copy": "dma"}
        return data


Port = Annotated[GeneratorPort | EthdevPort | VhostPort, Field(discriminator="kind")]


class PmdThread(Section):
    """One `[[pmd]]`: a pinned thread.

    `core`: the CPU that it is pinned to, as the operating system numbers them. `rxqs`: the receive queues
    that it polls, each as `"port:qid"`; with none it waits for some. `tx_flush_interval_us`: how long packets wait for
    others to fill a batch, 0 to 1000000. `sleep_max_us`: the longest that the thread sleeps between two polls when
    there is little to do, 0 (never) to 10000. `perf_metrics`: whether cycles of sends and checks are counted by what
    they went for, and how long batches were in flight.
    """

    core: Annotated[int, whole(0), Field(examples=[1])]
    rxqs: Annotated[
        tuple[Annotated[str, rxq()], ...],
        listed('a list of receive queues, as in ["src:0"]'),
        Field(examples=[["src:0"]]),
    ]
    tx_flush_interval_us: Annotated[int, whole(0, 1_000_000)] = 0
    sleep_max_us: Annotated[int, whole(0, 10_000)] = 0
    perf_metrics: Flag = True


class DeferralOptions(Section):
    """`[deferral]`: the engine around every PMD thread's work ring.

    `policy`: which items an item in progress holds up, `"fifo"`: all that came after it, or `"per_queue"`: those of
    its own txq. `ring_size`: slots, a power of two from 2 to 65536, of which one stays free; with `"per_queue"` each
    txq has so many. `attempt_limit`: checks of one work item before it is forced, 1 to 4294967295.
    `iteration_delay`: iterations that an item must be old before it is checked, 0 to 255. `paced`: an item is not
    checked before its copies can be done, by what was learned of its channel. `deadline_us`: microseconds after which
    an item in progress is forced, 0 (none) to 4294967295. `on_full`: what a send does that finds the ring full,
    `"wait"` or `"drop"`. `max_stall_us`: the longest that a thread waits in one turn of its loop, 1 to 1000000.
    """

    policy: Annotated[Literal["fifo", "per_queue"], one_of("fifo", "per_queue")] = "fifo"
    ring_size: Annotated[int, whole(2, 65536, power_of_two=True)] = 128
    attempt_limit: Annotated[int, whole(1, 2**32 - 1)] = 1000
    iteration_delay: Annotated[int, whole(0, 255)] = 0
    paced: Flag = False
    deadline_us: Annotated[int, whole(0, 2**32 - 1)] = 0
    on_full: Annotated[Literal["wait", "drop"], one_of("wait", "drop")] = "wait"
    max_stall_us: Annotated[int, whole(1, 1_000_000)] = 100_000


class ForwardOptions(Section):
    """`[forward]`: where a received packet goes.

    `kind`: `"wire"`, or `"l2"`: by MAC address, as a learning switch of all ports. `wires`: pairs of port names; what
    one port of a pair receives leaves by the other, both ways. An ethdev or vhost port paired with itself reflects.
    `mac_ageing_s`: seconds after which an address that was not seen is forgotten, 1 to 1000000. `mac_table_size`:
    addresses that there is room for, 16 to 1048576.
    """

    kind: Annotated[Literal["wire", "l2"], one_of("wire", "l2")] = "wire"
    wires: Annotated[
        tuple[
            Annotated[tuple[str, str], listed('two port names, as in ["src", "vm0"]', low=2, high=2)],
            ...,
        ],
        listed('a list of pairs of port names, as in [["src", "vm0"]]'),
    ] = ()
    mac_ageing_s: Annotated[int, whole(1, 1_000_000)] = 300
    mac_table_size: Annotated[int, whole(16, 2**20)] = 8192
