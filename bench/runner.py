"""The parent's side of a run: start the worker, follow it, and make one record of whatever happened."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.run import Status
from bench.worker import Job, work

LOG_TAIL_LINES = 20
TICK_S = 0.2

Event = dict[str, Any]


class Refused(BenchError):
    """The worker would not start the run; the message is for the user."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Measured:
    """What is known of a run; complete after `follow`, whatever ended the worker."""

    status: Status = "crashed"
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    log_tail: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Add what one message of the worker says.

        Raises `Refused` for a run that the worker would not start.
        """
        kind = event["kind"]
        if kind == "facts":
            self.facts |= {key: value for key, value in event.items() if key != "kind"}
        elif kind == "phase":
            self.spans = event["spans"]
        elif kind == "epoch":
            self.epochs.append({key: value for key, value in event.items() if key != "kind"})
        elif kind == "end":
            self.status, self.reason = event["status"], event["reason"]
            self.metrics, self.spans = event["metrics"], event["spans"]
        elif kind == "refused":
            raise Refused(event["message"], event["exit_code"])


def execute(job: Job, on_event: Callable[[Event], None], start_method: str = "spawn") -> Measured:
    """Run `job` in a process of its own and follow it to its end, however it ends.

    `on_event` gets every message of the worker, and `{"kind": "tick"}` between them. The first Ctrl-C
    (or SIGTERM) lets the worker finish its record, the second one kills it.

    Raises `Refused` for a recipe that turns out to be impossible, or data or hardware that is missing.
    """
    context: Any = multiprocessing.get_context(start_method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, sender), name=f"run of {job.log.stem}")
    measured = Measured()
    oom_kills = _oom_kills()
    with _Interrupts(process, on_event) as interrupts:
        sender.close()
        try:
            while _deliver(receiver, process, measured, on_event):
                pass
        finally:
            if process.is_alive():
                process.join(5)
                process.kill()
            process.join()
            receiver.close()
    if measured.status == "crashed":
        if interrupts.count:
            measured.status, measured.reason = "interrupted", "stopped by the user"
        elif _oom_kills() > oom_kills:
            measured.status, measured.reason = (
                "oom",
                "the kernel killed the process: the host is out of memory",
            )
        else:
            measured.reason = _exit_reason(process.exitcode)
    if measured.status not in ("ok", "not_reached"):
        measured.log_tail = tail(job.log)
    return measured


def _deliver(receiver: Any, process: Any, measured: Measured, on_event: Callable[[Event], None]) -> bool:
    """Take one message, or tick; false when the worker has said its last."""
    ready = wait([receiver, process.sentinel], timeout=TICK_S)
    if receiver in ready:
        try:
            event = receiver.recv()
        except (EOFError, OSError):
            return False
        measured.take(event)
        on_event(event)
        return bool(event["kind"] != "end")
    on_event({"kind": "tick"})
    return not ready


class _Interrupts:
    """While entered, Ctrl-C and SIGTERM become requests to the worker, and nothing is raised here.

    So no message is torn, and a record is always made.
    """

    def __init__(self, process: Any, on_event: Callable[[Event], None]) -> None:
        self.count = 0
        self._process, self._on_event = process, on_event
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Interrupts:
        # The terminal sends SIGINT to the worker too, which is therefore started ignoring it.
        self._before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._process.start()
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _signum: int, _frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self._process.terminate()
            self._on_event({"kind": "stopping"})
        else:
            self._process.kill()


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with exit code {code} and no word"


def _oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as vmstat:
            return next((int(line.split()[1]) for line in vmstat if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> list[str]:
    """The last lines of a log, none where there is no log."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except OSError:
        return []
