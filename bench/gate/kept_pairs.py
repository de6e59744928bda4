"""The pairs of runs that earlier calls of the gate recorded, and which of them count in this call.

A group-sequential test spends its rate of false alarms over the rounds that it was planned for. If an undecided test of
30 rounds could be extended to 60, all of the rate would be spent after 30 rounds, and half of it again after those: of
equal code 1.4 % would be called different instead of 1 %, and more with each extension. Pairs therefore count only in
tests of the same plan.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.runs.store import Store
from bench.text.canonical import canonical_json


@dataclass(frozen=True)
class KeptPairs:
    """The pairs in `folder` of comparisons that are equal in `facts`; this call's test is planned for `rounds`."""

    folder: Path
    facts: Mapping[str, Any]
    rounds: int

    @cached_property
    def _name(self) -> str:
        return f"regress-{hashlib.sha256(canonical_json(dict(self.facts)).encode()).hexdigest()[:12]}"

    def store(self) -> Store:
        """The pairs of this plan."""
        return Store(self.folder / f"{self._name}-of-{self.rounds}.jsonl")

    def confirming(self, rounds: int) -> Store:
        """The pairs of the second checkout, which gets a plan of its own."""
        return Store(self.folder / f"{self._name}-of-{self.rounds}-second-of-{rounds}.jsonl")

    def other_plans(self) -> list[int]:
        """For how many rounds other tests of the same sources were planned, of which pairs are kept."""
        named = (
            re.fullmatch(rf"{self._name}-of-(\d+)", path.stem) for path in self.folder.glob(f"{self._name}-of-*.jsonl")
        )
        return sorted({int(match[1]) for match in named if match} - {self.rounds})

    def forget(self) -> None:
        """Remove the pairs of all plans."""
        for path in self.folder.glob(f"{self._name}-of-*.jsonl"):
            path.unlink(missing_ok=True)
