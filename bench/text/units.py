"""Numbers as people read them, each with its unit."""

from __future__ import annotations

import math
from typing import Any

MISSING = "–"
# Enough digits of an id to distinguish runs or cells; every command accepts them in place of the whole id.
ID_DIGITS = 8


def duration(seconds: float | None) -> str:
    """`15 ns`, `1.2 µs`, `0.42 s`, `12.3 s`, `3 min 11 s`, `1 h 07 min`; `∞` if it never ended."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds == math.inf:
        return "∞"
    if 0 < seconds < 99.5e-9:
        return f"{seconds * 1e9:.3g} ns"
    if 0 < seconds < 99.5e-6:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def milliseconds(number: float | None) -> str:
    """A duration given in milliseconds."""
    return duration(None if number is None else number / 1000)


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count(number: float | None) -> str:
    """`950`, `12,300`, `1.97 M`, `0.236 G`, `0.29 P`: three significant digits above 100,000."""
    if number is None:
        return MISSING
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= 0.1 * size and number >= 1e5:
            return f"{number / size:.3g} {unit}"
    return f"{number:,.0f}"


def flop(number: float | None) -> str:
    """Floating-point operations: `85 FLOP`, `1.2 GFLOP`, `0.0871 PFLOP` (from 0.01 PFLOP on), `∞`."""
    if number is None or math.isnan(number):
        return MISSING
    if number == math.inf:
        return "∞"
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= 0.01 * size:
            return f"{number / size:.3g} {prefix}FLOP"
    return f"{number:.0f} FLOP"


def rate(per_s: float | None) -> str:
    """Samples per second, three significant digits below 1,000."""
    if per_s is None:
        return MISSING
    return f"{per_s:.3g}/s" if per_s < 1000 else f"{per_s:,.0f}/s"


def size(num_bytes: float | None) -> str:
    """Bytes in binary units: `512 MiB`, `3.41 GiB`."""
    if num_bytes is None:
        return MISSING
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def energy(joules: float | None) -> str:
    """`85.2 J`, `12.3 kJ`, `1.2 MJ`."""
    if joules is None:
        return MISSING
    for unit, scale in (("MJ", 1e6), ("kJ", 1e3)):
        if joules >= scale:
            return f"{joules / scale:.3g} {unit}"
    return f"{joules:.3g} J"


def number(value: float | None) -> str:
    """A number without unit, with three significant digits."""
    return MISSING if value is None else f"{value:.3g}"


def percent(fraction: float | None) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.2f} %"


def dollars(amount: float | None) -> str:
    if amount is None:
        return MISSING
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.3g}"


def get(mapping: dict[str, Any], *keys: str) -> Any:
    """The value at a path in nested dictionaries, None if any part is missing."""
    value: Any = mapping
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
