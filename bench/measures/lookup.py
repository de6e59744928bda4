"""A measure by its name. It imports torch, and is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.spec.measures import MEASURES

if TYPE_CHECKING:
    from bench.measures.base import Measure


def measure_module(name: str) -> str:
    """The module whose import loads everything that measuring needs; for a user's measure, everything but the user's
    file."""
    return MEASURES[name].where.partition(":")[0] if name in MEASURES else "bench.measures.base"


def measure_class(name: str) -> type[Measure]:
    """The measure's class; imports torch.

    Raises `UsageError` and `MissingError` for mistakes in a user's own.
    """
    from bench.measures.base import Measure

    found = MEASURES.find(name)
    if name not in MEASURES:
        found.check_subclass(Measure)
    kind: type[Measure] = found.load()
    return kind
