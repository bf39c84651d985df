# SPDX-License-Identifier: BSD-3-Clause
"""What every table of a topology is made of."""

from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict

from pydpdk_defer._topology_fields import one_of

__all__ = ["Flag", "FrozenDict", "Section"]

Flag = Annotated[bool, one_of(True, False)]


class FrozenDict(dict[Any, Any]):
    """A dictionary that cannot be changed, and can be a key itself."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a topology does not change; take to_dict(), change that, and read it with from_dict()")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class Section(BaseModel):
    """What all tables share: unknown keys and loose types are faults, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
