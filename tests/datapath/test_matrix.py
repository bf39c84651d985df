# SPDX-License-Identifier: BSD-3-Clause
"""One table: virtio paths x copy x queues, on the pages that the pass has, each with every byte verified.

`ci/test.sh` runs a few cells with ordinary memory and with hugepages, `ci/test.sh --full` more, `ci/matrix.sh` all of
them. Those that ran are listed at the end.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from delivery import deliver
from echoed import echoed
from processes import HUGEPAGES

FRAMES = 4_000
COPIES = ("dma", "cpu", "auto")
QUEUES = (1, 2, 4, 8)  # a virtio-user guest has 8 pairs at most
PAGES = "2 MB" if HUGEPAGES else "4 KB"
WHOLE_FRAMES = ("--data-room", "9216")  # without mergeable buffers a frame has to fit into one
CPU_FLAGS = Path("/proc/cpuinfo").read_text()


@dataclass(frozen=True)
class VirtioPath:
    """What the guest's driver asks for, and thereby which of its and of vhost's functions run."""

    name: str
    virtio: str
    room: tuple[str, ...] = ()
    needs: str = ""  # of the CPU


PATHS = (
    VirtioPath("split", "in_order=0"),
    VirtioPath("split in-order", "in_order=1"),
    VirtioPath("split unmergeable", "in_order=0,mrg_rxbuf=0", WHOLE_FRAMES),
    VirtioPath("split unmergeable in-order", "in_order=1,mrg_rxbuf=0", WHOLE_FRAMES),
    VirtioPath("split vectorized", "in_order=0,mrg_rxbuf=0,vectorized=1", WHOLE_FRAMES),
    VirtioPath("packed", "packed_vq=1,in_order=0"),
    VirtioPath("packed in-order", "packed_vq=1,in_order=1"),
    VirtioPath("packed unmergeable", "packed_vq=1,in_order=0,mrg_rxbuf=0", WHOLE_FRAMES),
    VirtioPath("packed unmergeable in-order", "packed_vq=1,in_order=1,mrg_rxbuf=0", WHOLE_FRAMES),
    VirtioPath("packed vectorized", "packed_vq=1,in_order=1,mrg_rxbuf=0,vectorized=1", WHOLE_FRAMES, "avx512f"),
)
RINGS = (
    VirtioPath("split ring of 256", "queue_size=256"),
    VirtioPath("split ring of 4096", "queue_size=4096"),
    VirtioPath("packed ring of 256", "packed_vq=1,queue_size=256"),
    VirtioPath("packed ring of 1025", "packed_vq=1,queue_size=1025"),
    VirtioPath("packed ring of 4097", "packed_vq=1,queue_size=4097"),
)
# In every run each path once, by turns with DMA and the CPU, and a cell of each other kind; ON_HUGEPAGES again with
# hugepages.
ONCE = {(path, ("dma", "cpu")[at % 2], 1) for at, path in enumerate(PATHS)} | {
    (PATHS[0], "cpu", 1),
    (PATHS[5], "dma", 1),
    (RINGS[4], "dma", 1),
    (PATHS[0], "auto", 2),
    (PATHS[6], "dma", 4),
}
ON_HUGEPAGES = {(PATHS[0], "dma", 1), (PATHS[5], "cpu", 1), (PATHS[6], "dma", 4)}
# In ci/test.sh --full; the others are for ci/matrix.sh.
SHORT = ONCE | {(path, copy, 1) for path in PATHS for copy in ("dma", "cpu")} | {(RINGS[3], "dma", 1)}
ECHOED_ONCE = (PATHS[0], PATHS[4], PATHS[6], PATHS[9])
CELLS = [*product(PATHS, COPIES, QUEUES), *product(RINGS, COPIES, (1,))]


def need_cpu_of(path: VirtioPath) -> None:
    """Skip the test where the CPU lacks what the path needs."""
    if path.needs and path.needs not in CPU_FLAGS:
        pytest.skip(f"this CPU has no {path.needs}, which the {path.name} path needs")


def marks_of(cell: tuple[VirtioPath, str, int]) -> list[pytest.MarkDecorator]:
    """When a cell runs."""
    if cell not in SHORT:
        return [pytest.mark.matrix, pytest.mark.soak]
    return [*([] if cell in ONCE else [pytest.mark.full]), *([pytest.mark.pages] if cell in ON_HUGEPAGES else [])]


def cell_id(path: VirtioPath, copy: str, queues: int) -> str:
    return f"{path.name}, {copy}, {queues} {'pair' if queues == 1 else 'pairs'}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("path", "copy", "queues"),
    [pytest.param(*cell, id=cell_id(*cell), marks=marks_of(cell)) for cell in CELLS],
)
def test_every_frame_arrives_by(
    folder: Path, path: VirtioPath, copy: str, queues: int, request: pytest.FixtureRequest
) -> None:
    need_cpu_of(path)
    memory_mb = "512" if queues > 2 else "192"
    ring = "" if "queue_size" in path.virtio else ",queue_size=1024"
    guest = ["--virtio", path.virtio + ring, "--queues", str(queues), "--memory-mb", memory_mb, *path.room]
    numbers = range(queues)
    deliver(
        folder,
        FRAMES,
        guest,
        port__vm0__copy=copy,
        port__vm0__queues=queues,
        port__src__queues=queues,
        pmd=[{"core": 1, "rxqs": [f"{port}:{qid}" for port in ("src", "vm0") for qid in numbers]}],
        **({"frame_size": "imix"} if queues == max(QUEUES) else {}),  # memory for many queues of long frames is much
    )
    request.node.user_properties.append(("cell", f"{cell_id(path, copy, queues)}, {PAGES} pages"))


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.name, marks=[] if path in ECHOED_ONCE else pytest.mark.full) for path in PATHS],
)
def test_what_the_guest_sends_leaves_as_it_was_by(folder: Path, path: VirtioPath) -> None:
    need_cpu_of(path)
    sent, came = echoed(folder, "--virtio", f"{path.virtio},queue_size=1024", "--memory-mb", "192", *path.room)
    assert came == sent
