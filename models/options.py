"""A builder's options against its annotations, so that every network refuses a wrong value in the same words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def check_value(option: str, value: Any, hint: Any) -> None:
    """Raise ValueError where `value` is not of `hint`: int, float, bool, str, a Literal or a Sequence of these.

    Such a hint may add None, the default of an option that may be left open and no value of it.
    """
    if type(None) in get_args(hint):
        (hint,) = (kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            allowed = get_args(hint)
            near = nearest(value, allowed) if isinstance(value, str) else ""
            raise ValueError(f"{option} is {value!r}{near}; allowed: {', '.join(map(str, allowed))}")
    elif get_origin(hint) is Sequence:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{option} is {value!r}; it takes a list with at least one entry")
        for item in value:
            check_value(f"{option}, in {list(value)},", item, get_args(hint)[0])
    elif not _is(value, hint):
        raise ValueError(f"{option} is {value!r}; it takes {_KINDS[hint]}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint at what is close among the known, to be put behind the name; empty where nothing is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind
