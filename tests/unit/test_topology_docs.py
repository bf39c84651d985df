# SPDX-License-Identifier: BSD-3-Clause
"""The reference page and the models say the same: its example runs, its faults are real, its keys are all."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pydpdk_defer.errors import TopologyError
from pydpdk_defer.topology import (
    DeferralOptions,
    DmaDevice,
    DmaModel,
    EalOptions,
    EthdevPort,
    ForwardOptions,
    GeneratorPort,
    PmdThread,
    Topology,
    VhostPort,
)

PAGE = (Path(__file__).parents[2] / "docs" / "topology.md").read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "`[eal]`": EalOptions,
    "`[dma.NAME]`": DmaDevice,
    "`[dma.NAME.model]`": DmaModel,
    '`kind = "generator"`': GeneratorPort,
    '`kind = "ethdev"`': EthdevPort,
    '`kind = "vhost"`': VhostPort,
    "`[[pmd]]`": PmdThread,
    "`[deferral]`": DeferralOptions,
    "`[forward]`": ForwardOptions,
}


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of each key in the table below a heading."""
    section = re.split(r"^##+ ", PAGE.split(f"# {heading}", 1)[1], flags=re.MULTILINE)[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            keys, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.update(dict.fromkeys(re.findall(r"`(\w+)`", keys), cells))
    return found


def test_the_example_is_a_topology() -> None:
    assert Topology.loads(block("toml")).needs_guest == ("vm0",)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_has_its_row_and_its_default(heading: str) -> None:
    documented = rows(heading)
    fields: dict[str, Any] = {field.alias or name: field for name, field in SECTIONS[heading].model_fields.items()}
    if "kind =" in heading:
        del fields["kind"]  # the heading itself
    assert list(documented) == list(fields)
    for key, field in fields.items():
        default = documented[key][1].strip("`")
        if field.is_required():
            assert default == "required"
        elif key not in {"file_prefix", "copy", "model"}:  # their defaults depend on the rest, or are none
            plain = list(field.default) if isinstance(field.default, tuple) else field.default
            assert tomllib.loads(f"default = {default}")["default"] == plain


def test_the_faults_shown_are_the_faults_given() -> None:
    bad = block("toml").replace("dma = [", 'copy = "gpu"\ndma = [').replace('"vm0:0"', '"vm1:0"')
    with pytest.raises(TopologyError) as caught:
        Topology.loads(bad + "[eal]\nmemroy_mb = 512\n")
    shown = [line.removeprefix("bad.toml: ") for line in block("text").splitlines()]
    assert caught.value.strerror.splitlines() == shown
