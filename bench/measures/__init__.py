"""What is measured of a recipe: a measure a file, found by its name.

Importing this is cheap; a measure brings torch with it and is imported when it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.spec.measures import MEASURES

if TYPE_CHECKING:
    from bench.measures.base import Measure


def measure_module(name: str) -> str:
    """The module whose import brings all that measuring needs; of a user's measure, all but her own file."""
    return MEASURES[name].where.partition(":")[0] if name in MEASURES else "bench.measures.base"


def measure_class(name: str) -> type[Measure]:
    """The class of this name; torch is imported by then.

    Raises `UsageError` and `MissingError` for what is wrong with a user's own.
    """
    from bench.measures.base import Measure

    found = MEASURES.find(name)
    if name not in MEASURES:
        found.check_subclass(Measure)
    kind: type[Measure] = found.load()
    return kind
