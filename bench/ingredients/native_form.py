"""Layers in a faster form for a CPU, whose C++ is compiled when first used (`bench.host.native`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.errors import MissingError, UsageError

if TYPE_CHECKING:
    from torch import nn


def use_native(
    key: str, replace: Callable[[nn.Module], dict[str, Any]], model: nn.Module, device: str, optional: bool
) -> dict[str, Any]:
    """Replace layers of a network, if the `device` is a CPU; returns the facts that `replace` does, for the record.

    Raises `UsageError` on another device, and `MissingError` without a C++ compiler, unless it is `optional`.
    """
    if device != "cpu":
        if optional:
            return {key: 0}
        raise UsageError(f"{key}: it is made for a CPU; write {key}: auto, or leave it out on a GPU")
    try:
        return replace(model)
    except MissingError as error:
        if optional:
            return {key: 0, f"{key}_lacks": str(error)}
        raise MissingError(f"{key}: {error}; {key}: auto goes without") from None
