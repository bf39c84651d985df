# SPDX-License-Identifier: BSD-3-Clause
"""Classic pcap files, written and read without the code under test."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path


def write_pcap(path: Path, frames: Sequence[bytes]) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, frame in enumerate(frames):
            file.write(struct.pack("<IIII", number // 1000, number % 1000, len(frame), len(frame)) + frame)


def read_pcap(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        magic, *_, linktype = struct.unpack("<IHHiIII", file.read(24))
        assert magic in (0xA1B2C3D4, 0xA1B23C4D)
        assert linktype == 1
        while head := file.read(16):
            _, _, captured, length = struct.unpack("<IIII", head)
            assert captured == length
            yield file.read(captured)
