"""One revision measured by itself: for a new baseline, or to compare with one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UsageError
from bench.gate.agent_process import AgentFailed, AgentProcess, renew
from bench.gate.drift import middle
from bench.gate.source import Result, cell_label
from bench.host.contention import by_span, disturbances
from bench.runs.labels import flat
from bench.runs.run import FINISHED, NOT_IDENTITY, new_run_id
from bench.runs.slow_hosts import Reference

# The reference kernels take up to a second, which should be a small share of the time.
REFERENCE_EVERY_S = 10.0


@dataclass
class Measurement:
    """Measures cells in turns, each round in a new start of the tree; `references` are times of the reference kernels,
    taken at intervals."""

    agent: AgentProcess
    device: str
    data: Path | None
    results: Path
    on_run: Callable[[str, int], None] = lambda _cell, _round: None
    references: list[Reference] = field(default_factory=list)
    contended: list[str] = field(default_factory=list)
    runs: int = 0
    _next_reference_s: float = -math.inf

    def disturbed(self) -> list[str]:
        """Remarks if something else was busy meanwhile."""
        if not self.contended:
            return []
        return [
            f"contended: {len(self.contended)} of {self.runs} runs ({self.contended[0]}, for one); stop what else runs"
        ]

    def measure(self, path: Path, found: int, rounds: int, deadline_s: float) -> list[Result]:
        """Measure each cell of a matrix `rounds` times, or until the deadline, but at least once.

        Raises UsageError for a mistake in the matrix, BenchError if the tree's process ends.
        """
        try:
            opened = self.agent.ask("open", path=str(path), device=self.device, found=found)
            cells = [(at, cell) for at, cell in enumerate(opened["cells"]) if not cell["skip"]]
            if not cells:
                raise UsageError(f"{path.stem}: no cell of it can run on this machine")
            results = []
            for round in range(rounds):
                if round and time.monotonic() > deadline_s:
                    break
                renew([self.agent])
                if time.monotonic() >= self._next_reference_s:
                    self._next_reference_s = time.monotonic() + REFERENCE_EVERY_S
                    self.references.append(self.agent.ask("reference", device=self.device))
                for at, cell in cells:
                    label = cell_label(path.stem, cell["values"])
                    self.on_run(label, round)
                    results.append(self._run(opened, at, cell, label, round))
        except AgentFailed as error:
            kind = UsageError if error.exit_code == 2 else BenchError
            raise kind(f"{path.stem}: {error}") from None
        return results

    def reference(self) -> dict[str, float]:
        """The medians of each reference kernel's seconds, and of its clock if known."""
        return middle(self.references)

    def _run(self, opened: dict[str, Any], at: int, cell: dict[str, Any], label: str, round: int) -> Result:
        log = self.results / "gate" / "logs" / f"{new_run_id()}.log"
        reply = self.agent.ask(
            "run",
            matrix=opened["matrix"],
            cell=at,
            seed=round,
            device=self.device,
            data=None if self.data is None else str(self.data.resolve()),
            cache=str(self.results / "cache"),
            log=str(log),
        )
        facts = reply.get("facts", {})
        of = {
            "seed": round,
            "data_fingerprint": facts.get("data", {}).get("fingerprint"),
            "versions": facts.get("versions", {}),
        }
        config = flat({key: value for key, value in cell["config"].items() if key not in NOT_IDENTITY})
        self.runs += 1
        if reply.get("metrics", {}).get("contended"):
            where = disturbances(by_span(reply.get("spans", [])))
            self.contended.append(next(iter(where.values()), "other processes were busy"))
        if reply["status"] in FINISHED:
            return Result(config, label, opened["measure"], reply["started_at"], reply["metrics"], **of)
        reason = f"{reply['status']}: {reply['reason']}"
        return Result(config, label, opened["measure"], reply["started_at"], None, reason=reason, **of)
