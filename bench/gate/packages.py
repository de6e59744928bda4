"""The installed packages that measurements were made with, which can change a time as much as code can."""

from __future__ import annotations

from collections.abc import Mapping

MOST_TOLD = 4


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """`numpy 1.26.4 → 2.1.0`, and so on; None if there is no difference, or one side is not known."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not (before and after and names):
        return None
    told = [f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}" for name in names[:MOST_TOLD]]
    return ", ".join(told) + (f", and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else "")
