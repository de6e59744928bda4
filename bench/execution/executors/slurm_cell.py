"""What a job of Slurm carries out, and the files by which it and its driver talk, since either may outlive the other.

Slurm's own failures look like those of the command, so how a run ended is said in a file of ours, or not at all.
"""

from __future__ import annotations

import json
import pickle
import socket
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import MissingError
from bench.execution.executors.executor import Assignment
from bench.execution.executors.on_host import Driver, HostReport, carry_out, describe
from bench.execution.executors.several import meeting_of
from bench.execution.measured import Event, Measured
from bench.files import replacing

# Slurm sends its signal this long before the end of the time that was asked for.
SIGNAL_DELAY_S = 60
# How much earlier than that a signal still means the end of the time, and not a preemption.
EARLY_S = 30.0


@dataclass(frozen=True)
class Exchange:
    """The folder of one run, which its driver and all of its hosts see."""

    folder: Path

    def tell(self, event: Event) -> None:
        """Add a message for the driver."""
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(event, default=str) + "\n")

    def beat(self) -> None:
        """Show that the run is alive."""
        (self.folder / "events.jsonl").touch()

    def count(self) -> int:
        """How often the user has pressed Ctrl-C, by the driver."""
        try:
            return int((self.folder / "count").read_text())
        except (OSError, ValueError):
            return 0

    def set_count(self, count: int) -> None:
        with replacing(self.folder / "count") as draft:
            draft.write_text(str(count))

    def meet(self, endpoint: str | None = None) -> str | None:
        """Where the ranks of a run meet, once its first host has said so."""
        place = self.folder / "meeting"
        if endpoint is not None:
            with replacing(place) as draft:
                draft.write_text(endpoint)
        return place.read_text() if place.exists() else None

    def keep(self, name: str, value: Any) -> None:
        """Leave an object for the driver, whole or not at all."""
        with replacing(self.folder / f"{name}.pkl") as draft:
            draft.write_bytes(pickle.dumps(value))

    def find(self, name: str) -> Any:
        """What was left under this name; None if there is nothing."""
        try:
            return pickle.loads((self.folder / f"{name}.pkl").read_bytes())
        except FileNotFoundError:
            return None

    def found(self, pattern: str) -> list[Any]:
        """All that was left under such names, in their order."""
        return [self.find(path.stem) for path in sorted(self.folder.glob(f"{pattern}.pkl"))]


@dataclass
class SlurmCell:
    """The run of a job. The same job runs it again if Slurm takes its host away.

    `limit_s` is the time that was asked of Slurm. What a preempted run had measured is left as `cut-N`, a row of its
    own; how the run ended, as `outcome-HOST`.
    """

    task: Assignment
    driver: Driver
    exchange: Exchange
    hosts: int
    limit_s: float
    cuts: int = 0
    _seen: Measured = field(default_factory=Measured)
    _machine: dict[str, Any] = field(default_factory=dict)
    _began_s: float = 0.0
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> str:
        """The status, which Slurm's own accounts may show."""
        from submitit import JobEnvironment

        here = JobEnvironment()
        index = here.global_rank
        self._began_s, self._started_at = time.monotonic(), datetime.now(UTC)
        facts = describe(self.driver)
        self._machine = facts.machine
        if facts.unfit is not None:
            outcome = HostReport(Measured(), (f"this host can carry out no run: {facts.unfit}", MissingError.exit_code))
        else:
            outcome = self._carry_out(index, is_local=here.cluster == "local")
        outcome.measured.facts["node"] = self._machine
        self.exchange.keep(f"outcome-{index}", outcome)
        return outcome.measured.status

    def _carry_out(self, index: int, is_local: bool) -> HostReport:
        task, exchange = self.task, self.exchange
        if self.hosts > 1 and task.job is not None:
            meeting = meeting_of(index, "127.0.0.1" if is_local else socket.gethostname(), exchange.meet)
            task = replace(task, job=replace(task.job, meeting=meeting))

        def tell(event: Event) -> None:
            if event["kind"] != "refused":
                self._seen.take(event)
            if index == 0:
                exchange.tell(event)

        def count() -> int:
            exchange.beat()
            return exchange.count()

        tell({"kind": "phase", "name": "start", "spans": []})
        return carry_out(task, self.driver, tell, count)

    def checkpoint(self) -> Any:
        """Slurm will take the host away: because of the time that was asked for, or because it is needed elsewhere.

        Returns what the same job runs again, None if nothing.
        """
        from submitit.helpers import DelayedSubmission

        seen = self._seen
        seen.facts["node"] = self._machine
        if time.monotonic() - self._began_s >= self.limit_s - SIGNAL_DELAY_S - EARLY_S:
            seen.status = "timeout"
            seen.reason = (
                f"not done at the end of the {self.limit_s / 60:g} min asked of Slurm; its last phase was {seen.phase}"
            )
            self.exchange.keep("outcome-0", HostReport(seen, started_at=self._started_at))
            return None
        seen.facts["attempt"] = {"started_at": self._started_at}
        seen.status, seen.reason = "interrupted", "Slurm took its host away; the same job runs it again"
        self.exchange.keep(f"cut-{self.cuts}", seen)
        (self.exchange.folder / "meeting").unlink(missing_ok=True)
        again = SlurmCell(self.task, self.driver, self.exchange, self.hosts, self.limit_s, self.cuts + 1)
        return DelayedSubmission(again)
