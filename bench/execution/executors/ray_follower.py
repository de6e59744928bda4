"""One run on a Ray cluster, as the sweep follows it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Protocol

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from bench.execution.executors.executor import Assignment, OnEvent
from bench.execution.executors.host_report import HostReport
from bench.execution.executors.ray_nodes import RayNodes, last_line
from bench.execution.executors.several import all_hosts, worst
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Event, Lost, Measured, NotBegun
from bench.runs.run import Status

# The time from asking runs to end until their tasks are killed: longer than a host needs to kill a worker.
GRACE_S = 15.0


class Inbox(Protocol):
    """Where the messages of runs arrive, and the ends of their tasks."""

    def messages(self, run_id: str) -> list[Event]:
        """What a run has said since the last call."""

    def is_ready(self, ref: Any) -> bool:
        """Whether a task has ended, or was lost."""


class RayFollower:
    """Follows one run on its node, or on its several nodes, of which the first one reports."""

    sources: tuple[Any, ...] = ()

    def __init__(
        self,
        inbox: Inbox,
        nodes: RayNodes,
        refs: list[Any],
        task: Assignment,
        on_event: OnEvent,
        interrupts: Interrupts,
    ) -> None:
        self.over = False
        self.pending = list(refs)
        self._inbox, self._nodes, self._refs, self._task = inbox, nodes, refs, task
        self._on_event, self._interrupts = on_event, interrupts
        self._outcomes: dict[int, HostReport] = {}
        self._ended: Measured | Exception | None = None
        # What its messages say, for the case that its report never comes.
        self._seen = Measured()
        self._begun = self._withdrawn = False
        self._signals_told = interrupts.count
        self._kill_s: float | None = None
        on_event({"kind": "phase", "name": "waiting for its node", "spans": []})

    def advance(self) -> None:
        """Pass on what has arrived, and notice what has ended."""
        if self.over:
            return
        for event in self._inbox.messages(self._task.attempt.run_id):
            self._begun = True
            if event["kind"] != "refused":
                self._seen.take(event)
            self._on_event(event)
        self._on_event({"kind": "tick"})
        self._hear_signals()
        # The end of one host may be that of the run.
        while (ref := next(filter(self._inbox.is_ready, self.pending), None)) is not None:
            self._take(ref)
        if not self.pending:
            self.over = True

    def result(self) -> Measured:
        """What was measured. Raises Lost, Refused or NotBegun."""
        if isinstance(self._ended, Exception):
            raise self._ended
        if self._ended is not None:
            return self._ended
        measured = worst(self._outcomes, self._task.attempt.log)
        measured.facts["node"] = self._machine
        return measured

    def close(self) -> None:
        """End a run that is not over."""
        if not self.over:
            self._cancel(force=True)
            self.over = True

    @property
    def _machine(self) -> dict[str, Any]:
        return all_hosts([node.facts.machine for node, *_ in self._task.place.hosts])

    def _hear_signals(self) -> None:
        interrupts = self._interrupts
        if interrupts.count > self._signals_told:
            self._signals_told = interrupts.count
            self._on_event({"kind": "stopping" if interrupts.stopping else "finishing"})
            if not self._begun:
                self._withdrawn = True
                self._cancel(force=False)
            elif interrupts.count > interrupts.patience + 1:
                self._kill_s = time.monotonic()
            elif interrupts.stopping:
                self._kill_s = time.monotonic() + GRACE_S
        if self._kill_s is not None and time.monotonic() >= self._kill_s:
            self._kill_s = None
            self._cancel(force=True)

    def _cancel(self, force: bool) -> None:
        with suppress(RayError, ConnectionError):  # the cluster is gone
            for ref in self.pending:
                ray.cancel(ref, force=force)

    def _take(self, ref: Any) -> None:
        """Hear how the run has ended on one host. The others have nothing to add if it is `ok` on the first, and are
        ended if a host has refused it or was lost."""
        self.pending.remove(ref)
        index = self._refs.index(ref)
        try:
            outcome = ray.get(ref)
        except OutOfMemoryError:
            self._ended = self._as("oom", "Ray ended it, because the memory of its node was full")
        except RayTaskError as error:
            self._ended = self._loss(index, f"could not carry it out: {last_line(error)}")
        except RayError as error:
            self._ended = self._loss(index, f"was lost ({type(error).__name__})")
        else:
            outcome.measured.facts["node"] = self._machine
            self._outcomes[index] = outcome
            if index == 0 and outcome.measured.status == "ok":
                self.pending.clear()
            if outcome.refusal is None:
                return
        self._cancel(force=True)
        self.pending.clear()

    def _as(self, status: Status, reason: str) -> Measured:
        """What was seen of the run, with its end, which it could not tell."""
        self._seen.facts["node"] = self._machine
        return self._seen.ended_as(status, reason)

    def _loss(self, index: int, what: str) -> Measured | Exception:
        if self._withdrawn:
            return NotBegun("stopped before it began")
        if self._interrupts.stopping:
            return self._as("interrupted", "stopped by the user")
        node = self._task.place.hosts[index][0]
        exists = self._nodes.suspect(node)
        whose = f"the process that ran it on {node.id[:8]}" if exists else f"its node, {node.id[:8]},"
        return Lost(f"{whose} {what}", self._as("interrupted", what))
