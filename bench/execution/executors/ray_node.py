"""What Ray carries out on its nodes, and the one actor through which a run and its driver talk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from bench.execution.executors.executor import Assignment
from bench.execution.executors.host_report import HostReport
from bench.execution.executors.on_host import Driver, carry_out
from bench.execution.executors.several import meeting_of
from bench.execution.measured import Event


class Mailbox:
    """An actor beside the driver: messages of runs one way, the user's Ctrl-C the other, and where ranks meet."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Event]] = []
        self._meetings: dict[str, str] = {}
        self._count = 0

    def post(self, run_id: str, events: list[Event]) -> int:
        """Keep a run's messages for the driver; returns how often the user has pressed Ctrl-C."""
        self._events += [(run_id, event) for event in events]
        return self._count

    def collect(self, count: int) -> list[tuple[str, Event]]:
        """What has arrived since the last call; `count` is how often the user has pressed Ctrl-C."""
        self._count = count
        events, self._events = self._events, []
        return events

    def meet(self, run_id: str, endpoint: str | None = None) -> str | None:
        """Where the ranks of a run meet, once its first host has said so."""
        if endpoint is not None:
            self._meetings[run_id] = endpoint
        return self._meetings.get(run_id)


class Post:
    """A run's end of the mailbox. It never waits or fails: a run does not depend on who looks at it."""

    def __init__(self, mailbox: Any, run_id: str) -> None:
        self._mailbox, self._run_id = mailbox, run_id
        self._events: list[Event] = []
        self._answer: Any = None
        self._count = 0

    def tell(self, event: Event) -> None:
        self._events.append(event)

    def count(self) -> int:
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):  # the mailbox is gone
            if self._answer is not None and ray.wait([self._answer], timeout=0)[0]:
                self._count, self._answer = ray.get(self._answer), None
            if self._answer is None:
                self._answer = self._mailbox.post.remote(self._run_id, self._events)
                self._events = []
        return self._count


def run_on_node(task: Assignment, driver: Driver, mailbox: Any, host_index: int, host_count: int) -> HostReport:
    """The task that carries out a run, or one host's part of it."""
    post = Post(mailbox, task.attempt.run_id)
    post.tell({"kind": "phase", "name": "start", "spans": []})
    post.count()  # at once, because the first worker of a node takes seconds to start
    if task.job is not None and host_count > 1:
        import ray

        def meet(endpoint: str | None = None) -> str | None:
            found: str | None = ray.get(mailbox.meet.remote(task.attempt.run_id, endpoint))
            return found

        meeting = meeting_of(host_index, ray.util.get_node_ip_address(), meet)
        task = replace(task, job=replace(task.job, meeting=meeting))
    tell = post.tell if host_index == 0 else lambda _: None
    return carry_out(task, driver, tell, post.count)
