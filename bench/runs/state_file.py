"""The file of a training's state: written atomically, and read without executing anything in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.files import replacing, sha256_of


class TornState(Exception):
    """The file is not as it was written."""


def save(state: dict[str, Any], path: Path) -> str:
    """Write the state, complete on the disk before it has its name; returns the SHA-256. Raises OSError."""
    with replacing(path) as draft:
        try:
            torch.save(state, draft)
        except RuntimeError as error:  # torch's own error of a full disk
            raise OSError(str(error).splitlines()[0]) from None
        return sha256_of(draft)


def load(path: Path, sha256: str) -> dict[str, Any]:
    """The state, its tensors on the devices on which they were. Raises `TornState`."""
    try:
        if sha256_of(path) != sha256:
            raise TornState(path.name)
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except OSError:
        raise TornState(path.name) from None
    return state
