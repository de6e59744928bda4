"""Honest, fast, reproducible timing of deep-learning training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.frames import load

# The moment nearest to the user's command that Python lets us see; a run's spans start here.
STARTED_S = time.monotonic()

__all__ = ["STARTED_S", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from bench.frames import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
