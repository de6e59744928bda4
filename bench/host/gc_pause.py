"""Python's collector of cycles, kept from what is not worth its time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Millions of new objects make Python look for cycles again and again: a third of the time. Also a decorator."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def heap_frozen() -> Iterator[None]:
    """What is there is not looked through for cycles: a tenth of a second, in the middle of what is timed."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
