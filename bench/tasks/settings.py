"""What the settings of all tasks have in common. Importing this brings no torch."""

from __future__ import annotations

from typing import ClassVar

from bench.documents.strict import Strict


class TaskSettings(Strict):
    """`NETS` are the settings that name networks trained earlier; those in `MAY_LACK` may be null.

    Those in `STARTS` may have been trained on any data, because they only lend their weights. `INGREDIENTS` are the
    ingredients of a recipe that the task has a use for. `LOADERS`, if there are any, are the only ones of bench's own
    loaders that deliver what it trains on.
    """

    NETS: ClassVar[tuple[str, ...]] = ()
    MAY_LACK: ClassVar[tuple[str, ...]] = ()
    STARTS: ClassVar[tuple[str, ...]] = ()
    INGREDIENTS: ClassVar[tuple[str, ...]] = ("checkpoint", "lr_warm_up", "layer_rates")
    LOADERS: ClassVar[tuple[str, ...]] = ()

    name: str
