"""Mappings that a call is given where a command is given KEY=VALUE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError


def has_keys_of_text(given: object) -> bool:
    return isinstance(given, Mapping) and all(isinstance(key, str) for key in given)


def as_options(option: str, given: Mapping[str, Any], *, apart: bool = False) -> list[str]:
    """KEY=VALUE for each value, with `apart` for each one in a list or tuple.

    Raises UsageError for what is no mapping, and for a value that is no text, number, boolean or None, nor a list or
    mapping of them.
    """
    if not has_keys_of_text(given):
        raise UsageError(f"{option} is {given!r}: give values by their keys, as in {{'key': 1}}")
    return [
        f"{key}={_as_text(f'{option}[{key!r}]', value)}"
        for key, values in given.items()
        for value in (values if apart and isinstance(values, list | tuple) else [values])
    ]


def _as_text(place: str, value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"{place} is {value!r}, of the type {type(value).__name__}: give text, a number, True, False or None, "
            "as str(…) or int(…) makes of it"
        ) from None
