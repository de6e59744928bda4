"""The value of a plain scalar by the core schema of YAML 1.2.2 (chapter 10.3), for files and command lines alike.

So `0500` is 500, `1e-4` a number, and `no`, `1:30` and `1_000` are text.
"""

from __future__ import annotations

import math
import re

# Records, tables and seeds hold signed 64-bit integers.
LARGEST_INTEGER = 2**63 - 1
_NULL = ("null", "Null", "NULL", "~", "")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGERS = ((re.compile(r"[-+]?[0-9]+"), 10), (re.compile(r"0o[0-7]+"), 8), (re.compile(r"0x[0-9a-fA-F]+"), 16))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = (".nan", ".NaN", ".NAN")
# Longer numbers are refused, and Python needs quadratic time to parse them.
_MOST_DIGITS = 100


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar. Raises ValueError for an integer beyond 64 bits or a float that is too large."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if (whole := _integer(text)) is not None:
        return whole
    return text if (fraction := _float(text)) is None else fraction


def number(text: str) -> int | float:
    """The number that a text stands for. Raises ValueError if it is not a number or is too large."""
    found = scalar(text.strip())
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{text!r} is not a number")
    return found


def tagged(tag: str, text: str) -> str | int | float | bool | None:
    """The value of a scalar with an explicit tag such as `!!int`. Raises ValueError if the text does not fit."""
    if tag == "str":
        return text
    found = scalar(text)
    if tag == "float" and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    if {int: "int", float: "float", bool: "bool", type(None): "null"}.get(type(found)) != tag:
        raise ValueError(f"{text[:_MOST_DIGITS]!r} is no {tag}")
    return found


def _integer(text: str) -> int | None:
    for pattern, base in _INTEGERS:
        if pattern.fullmatch(text):
            value = int(text, base) if len(text) <= _MOST_DIGITS else None
            if value is None or abs(value) > LARGEST_INTEGER:
                shown = text if len(text) <= _MOST_DIGITS else f"{text[:20]}… of {len(text):,} digits"
                raise ValueError(f"{shown} is beyond the largest whole number, {LARGEST_INTEGER}")
            return value
    return None


def _float(text: str) -> float | None:
    if _INFINITY.fullmatch(text) or text in _NAN:
        return float(text.replace(".", ""))
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:_MOST_DIGITS]} is beyond the largest number, 1.8e308")
    return value
