"""What is made for a CPU alone, and needs something of the machine: a C++ compiler, huge pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.errors import MissingError, UsageError


def on_cpu(key: str, work: Callable[[], dict[str, Any]], device: str, optional: bool) -> dict[str, Any]:
    """Do the work, if the `device` is a CPU; returns its facts for the record.

    Raises `UsageError` on another device, and `MissingError` if `work` does, unless it is `optional`.
    """
    if device != "cpu":
        if optional:
            return {key: 0}
        raise UsageError(f"{key}: it is made for a CPU; write {key}: auto, or leave it out on a GPU")
    try:
        return work()
    except MissingError as error:
        if optional:
            return {key: 0, f"{key}_lacks": str(error)}
        raise MissingError(f"{key}: {error}; {key}: auto goes without") from None
