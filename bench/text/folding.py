"""Repeated remarks told once, with how many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bench.text.units import counted


def folded(remarks: Iterable[str], noun: str) -> dict[str, str]:
    """What stands for each remark: `18 rows: too few runs` for all that begin alike up to their first colon.

    A remark that stands alone is left as it is, and equal remarks are told in full.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        alike[remark.partition(": ")[0]].append(remark)
    told: dict[str, str] = {}
    for head, several in alike.items():
        shared = several[0] if len(set(several)) == 1 else head
        line = f"{counted(len(several), noun)}: {shared}" if len(several) > 1 else shared
        told |= dict.fromkeys(several, line)
    return told
