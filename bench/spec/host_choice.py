"""Where runs may be made: on which machine, and which of them on the same host."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError
from bench.spec.sweep_plan import PlannedRun

# The axis of a matrix whose values are the sides of a comparison.
ARM = "arm"
LEAST_DIGITS = 4


@dataclass(frozen=True)
class HostChoice:
    """`pin` is the beginning of a machine's fingerprint or of a host's key.

    With `same_machine` all runs are made on one host, with `rounds` all cells with the same seed. The arms of a
    comparison are always on one host, with all their seeds.
    """

    pin: str | None = None
    same_machine: bool = False
    rounds: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a pin that is no beginning of a fingerprint or key."""
        if self.pin is not None and not re.fullmatch(rf"[0-9a-f]{{{LEAST_DIGITS},12}}", self.pin):
            raise UsageError(
                f"--pin {self.pin[:40]}: give the first {LEAST_DIGITS} to 12 hex digits of machine.id or machine.host; "
                "`bench env` prints both for this machine, `bench results --columns machine.id,machine.host` for runs"
            )

    def fits(self, machine: Mapping[str, Any]) -> bool:
        """Whether a run may be made on a machine with this fingerprint, or one made there counts."""
        return self.pin is None or any(str(machine.get(key) or "").startswith(self.pin) for key in ("id", "host"))

    def refusal(self, machine: Mapping[str, Any]) -> str | None:
        """Why no run may be made on this machine; None if it may."""
        if self.fits(machine):
            return None
        return f"--pin {self.pin}: this is another machine, {machine.get('id')}, on host {machine.get('host')}"

    def set_of(self, entry: PlannedRun) -> Hashable | None:
        """Runs with equal keys stay on one host; None for a run that may be made anywhere."""
        if self.same_machine:
            return "all"
        if ARM in entry.cell.values:
            return tuple((key, str(value)) for key, value in entry.cell.values.items() if key != ARM)
        return entry.seed if self.rounds else None
