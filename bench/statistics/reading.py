"""A value and where it comes from."""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """A value of one run, the key of the host it ran on (None if unknown), and its seed."""

    value: float
    host: str | None
    seed: int
