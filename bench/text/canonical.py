"""A text form of JSON values that is the same for equal values; identities are hashes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no white space, floats by repr, and 1.0 as 1.

    Raises ValueError for a NaN or an infinity, TypeError for keys that are not text and values that are not
    JSON.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"a config key must be text, not {wrong[0]!r}")
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
