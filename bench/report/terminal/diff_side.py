"""One of two runs, or of two cells with their repeats, that stand side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bench.runs.readings import hosts_of
from bench.runs.run import FINISHED, Run


@dataclass(frozen=True)
class DiffSide:
    """`A` or `B`: one run, or all repeats of a cell."""

    name: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.status in FINISHED]

    @property
    def hosts(self) -> set[str]:
        """The known hosts of its finished runs."""
        return hosts_of(self.finished)

    @property
    def heading(self) -> str:
        """`A (n = 6 on 3 hosts)`."""
        on = f" on {len(self.hosts)} hosts" if len(self.hosts) > 1 else ""
        return f"{self.name} (n = {len(self.finished)}{on})"

    @property
    def told(self) -> str:
        """What it is, in one line."""
        counts = Counter(run.status for run in self.runs)
        seeds = ", ".join(str(run.seed) for run in self.runs)
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        of = f"seed{'s' if len(self.runs) > 1 else ''} {seeds}: {states}"
        return f"{self.name}  {self.first.run_id}  {self.first.recipe}, {self.first.measure}, {of}"
