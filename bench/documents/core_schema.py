"""What a plain scalar is, by the core schema of YAML 1.2.2 (chapter 10.3): one answer for files and command lines.

So `0500` is 500, `1e-4` a number, and `no`, `1:30` and `1_000` are text.
"""

from __future__ import annotations

import math
import re

# What records, tables and seeds hold: 64 bits with a sign.
LARGEST_INTEGER = 2**63 - 1
_NULL = ("null", "Null", "NULL", "~", "")
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGERS = ((re.compile(r"[-+]?[0-9]+"), 10), (re.compile(r"0o[0-7]+"), 8), (re.compile(r"0x[0-9a-fA-F]+"), 16))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = (".nan", ".NaN", ".NAN")
# More would be refused anyway, and Python takes quadratic time to read them.
_MOST_DIGITS = 100


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar. Raises ValueError for a number beyond 64 bits or beyond what a float holds."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if (whole := _integer(text)) is not None:
        return whole
    return text if (fraction := _float(text)) is None else fraction


def number(text: str) -> int | float:
    """The number that a text is. Raises ValueError where it is none, or beyond what a number can be."""
    found = scalar(text.strip())
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{text!r} is no number")
    return found


def tagged(tag: str, text: str) -> str | int | float | bool | None:
    """The value of a scalar with an explicit tag, `!!int` and so on. Raises ValueError where it has none of that."""
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
