"""What is known of a run, whether a worker or a script carried it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.runs.run import Status

Event = dict[str, Any]


class Refused(BenchError):
    """The worker refused to start the run, or no host can; the message is for the user.

    `facts` say which host it was, if that is not this one.
    """

    def __init__(self, message: str, exit_code: int, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.exit_code, self.facts = exit_code, dict(facts or {})


class Lost(BenchError):
    """The host of a run was lost, or what ran it there; this says nothing about the run, which may run again.

    `seen` is what was known of it until then.
    """

    def __init__(self, message: str, seen: Measured | None = None) -> None:
        super().__init__(message)
        self.seen = seen or Measured()


class NotBegun(BenchError):
    """The run was withdrawn before any host began it; there is nothing to record."""


@dataclass
class Measured:
    """What is known of a run; complete once its process has ended for any reason."""

    status: Status = "crashed"
    reason: str | None = None
    phase: str = "start"
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    log_tail: list[str] = field(default_factory=list)

    def take(self, event: Event) -> bool:
        """Add the content of a worker's message; returns whether it was the last one.

        Raises `Refused` if the worker refused the run.
        """
        kind = event["kind"]
        if kind == "facts":
            self.facts |= {key: value for key, value in event.items() if key != "kind"}
        elif kind == "phase":
            self.phase = event["name"]
            self.spans += event["spans"]
        elif kind == "epoch":
            self.epochs.append({key: value for key, value in event.items() if key != "kind"})
        elif kind == "end":
            self.status, self.reason = event["status"], event["reason"]
            self.metrics = event.get("metrics", self.metrics)
            self.spans = event.get("spans", self.spans)
        elif kind == "refused":
            raise Refused(event["message"], event["exit_code"])
        return bool(kind == "end")

    def ended_as(self, status: Status, reason: str) -> Measured:
        """This, with how it ended, which it could not say itself."""
        self.status, self.reason = status, reason
        return self
