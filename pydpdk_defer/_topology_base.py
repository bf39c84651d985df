# SPDX-License-Identifier: BSD-3-Clause
"""What every table of a topology is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from pydpdk_defer._topology_fields import one_of

__all__ = ["Flag", "Section"]

Flag = Annotated[bool, one_of(True, False)]


class Section(BaseModel):
    """What all tables share: unknown keys and loose types are faults, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
