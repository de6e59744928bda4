"""Makes and stores the records of one command's runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.execution import scratch
from bench.execution.measured import Measured
from bench.execution.recorded_code import HarnessCode, RecordedCode
from bench.host.fingerprint import fingerprint
from bench.registry.reference import object_name
from bench.runs.annotation import Remarks
from bench.runs.run import Run, new_run_id
from bench.runs.store import Store, StoreError
from bench.text.console import visible_json
from bench.text.undecodable import command_line

if TYPE_CHECKING:
    from bench.spec.recipe import Recipe

# Much more than one record needs, and too little to notice.
ROOM_FOR_A_RECORD_BYTES = 1 << 20


@dataclass(frozen=True)
class Attempt:
    """A run that has begun; its worker writes to `log`, which is moved to its final place when the run is recorded.

    `own` is what the record says of the user's things that the `recipe` names, as they were when it began.
    """

    run_id: str
    started_at: datetime
    log: Path
    recipe: Recipe | None = None
    measure: str = "time_to_accuracy"
    own: Sequence[dict[str, str]] = ()

    @property
    def pictures(self) -> Path:
        """The folder for what the run draws, beside its log's final place."""
        return self.log.parent.parent / self.run_id


class Recorder:
    """Turns what was measured into records of the store below `results`."""

    def __init__(
        self,
        results: Path,
        recipe: str,
        sweep: str | None = None,
        code: RecordedCode | None = None,
        remarks: Remarks = Remarks(),
    ) -> None:
        """`recipe` (for a script, its own name) and `sweep` are names; `code` is by default this tree. `remarks` are
        what the user says of the runs."""
        self.results, self.recipe, self.sweep, self.remarks = results, recipe, sweep, remarks
        self.store = Store(results / "runs" / "runs.jsonl")
        self._code = code or HarnessCode()

    def check_writable(self) -> None:
        """Raises StoreError if a record could not be stored now. Also removes logs of killed commands."""
        self.store.check_writable(ROOM_FOR_A_RECORD_BYTES)
        scratch.remove_dead_files(self._logs_of_now)

    @property
    def code(self) -> dict[str, Any]:
        """The identity of the sources when the command began."""
        return self._code.identity

    def _code_of(self, facts: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
        """The code's identity with changes seen by the end of a run, including the user's code named by its recipe."""
        code = self._code.after(facts)
        if not attempt.own:
            return code
        return code | {
            "changed_during_run": [*code["changed_during_run"], *_changed(attempt)],
            "own": list(attempt.own),
        }

    @cached_property
    def machine(self) -> dict[str, Any]:
        return fingerprint()

    def _machine_of(self, facts: dict[str, Any], of_command: bool) -> dict[str, Any]:
        """The machine of a run: the node that it ran on, or else this command's, plus facts that need torch.

        The worker sees only its own part of the machine, but what runs at the same time is on the same machine. What
        its user calls the machine is no part of its identity. A command has a Python and a torch of its own, which
        are in `versions`; those of this process are left out.
        """
        whole = {key: value for key, value in (facts.get("node") or self.machine).items() if value is not None}
        label = {"label": self.remarks.machine_label} if self.remarks.machine_label else {}
        machine: dict[str, Any] = facts.get("machine", {}) | whole | label
        not_theirs = ("python", "torch") if of_command else ()
        return {key: value for key, value in machine.items() if not key.startswith(not_theirs)}

    def begin(self, recipe: Recipe | None = None, measure: str = "time_to_accuracy") -> Attempt:
        """A run of the recipe, None where there is none to run. Raises `MissingError` where own data is not there."""
        run_id = new_run_id()
        own = recipe.own_things(measure) if recipe is not None else ()
        return Attempt(run_id, datetime.now(UTC), self._logs_of_now / f"{run_id}.log", recipe, measure, own)

    def drop(self, attempt: Attempt) -> None:
        """Remove the log of a run that will not be recorded."""
        attempt.log.unlink(missing_ok=True)

    @property
    def _logs_of_now(self) -> Path:
        """The folder for logs of runs in progress, separate from logs that belong to a record."""
        return self.results / "logs" / ".running"

    def _keep_log(self, attempt: Attempt) -> Path | None:
        """Move the log to its final place and return the path; None if there is no log."""
        last = self.results / "logs" / attempt.log.name
        try:
            attempt.log.rename(last)
        except FileNotFoundError:
            return None
        except OSError:
            return attempt.log
        return last

    def record(
        self,
        attempt: Attempt,
        measured: Measured,
        *,
        cell: str,
        config: dict[str, Any],
        seed: int,
        measure: str,
        price_per_hour: float | None,
        price_source: dict[str, str] | None = None,
    ) -> Run:
        """Store the attempt's record and return it once it is on the disk.

        Raises StoreError if it cannot be stored; it has then been printed to stderr, so that it is not lost.
        """
        facts = measured.facts
        log = self._keep_log(attempt)
        resolved = facts.get("resolved", {}) | ({"price_source": price_source} if price_source else {})
        run = Run(
            run_id=attempt.run_id,
            cell=cell,
            recipe=self.recipe,
            sweep=self.sweep,
            seed=seed,
            status=measured.status,
            reason=measured.reason,
            log=os.path.relpath(log, self.results) if log else None,
            log_tail=measured.log_tail,
            command=command_line(),
            started_at=attempt.started_at.isoformat(timespec="milliseconds"),
            measure=object_name(measure),
            config=config | {"resolved": resolved},
            price_per_hour=price_per_hour,
            metrics=measured.metrics,
            spans=measured.spans,
            epochs=measured.epochs,
            machine=self._machine_of(facts, of_command="command" in config),
            code=self._code_of(facts, attempt),
            data=facts.get("data", {}),
            versions=facts.get("versions", {}),
            tags=list(self.remarks.tags),
            notes=list(self.remarks.notes),
        )
        try:
            self.store.append(run)
        except StoreError as error:
            sys.stderr.write(visible_json(run.to_json_line().decode()))
            raise StoreError(
                f"{error}. The line above is the record of the last run: append it to {self.store.path}"
            ) from None
        return run


def _changed(attempt: Attempt) -> list[str]:
    """The user's things that are no more what they were when the run began, or cannot be read any more."""
    try:
        now = attempt.recipe.own_things(attempt.measure) if attempt.recipe is not None else []
    except BenchError:
        now = []
    return [thing["path"] for thing in attempt.own if thing not in now]
