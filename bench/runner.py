"""The parent's side of a run: start the worker, follow it, and make one record of whatever happened."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.errors import BenchError, MissingError
from bench.measures import MEASURES
from bench.run import FINISHED, Status
from bench.worker import Job, work
from models import MODELS

LOG_TAIL_LINES = 20
TICK_S = 0.2
# From being asked to end until being killed: time to finish a step and tell what was measured.
GRACE_S = 5.0
# What a fork server imports once for all its workers. Not ffcv, whose import changes torch's threads.
PRELOADED = (
    "bench.cli",
    *(f"bench.measures.{name}" for name in MEASURES),
    *(where.partition(":")[0] for where in MODELS.values()),
    "pipelines.loaders.resident",
)

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
    phase: str = "start"
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


class Interrupts:
    """While entered, Ctrl-C and SIGTERM are counted and passed on to the worker, and nothing is raised here.

    So no message is torn, and a record is always made. The worker is asked to end early by the Ctrl-C that
    comes after `patience` others, or by a SIGTERM, and killed by the next of either.
    """

    def __init__(self, patience: int = 0) -> None:
        self.count, self.patience = 0, patience
        self._process: Any = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to end early."""
        return self.count > self.patience

    def start(self, process: Any) -> None:
        """Start the worker that is to be told; it ignores Ctrl-C, which a terminal sends to all its processes."""
        with _ctrl_c_ignored():
            process.start()
        self._process = process
        if self.stopping:
            process.terminate()

    def ended(self) -> None:
        """There is no worker now."""
        self._process = None

    def __enter__(self) -> Interrupts:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: object) -> None:
        was_stopping = self.stopping
        self.count = self.count + 1 if number == signal.SIGINT else max(self.count, self.patience) + 1
        if self._process is not None and self.stopping:
            (self._process.kill if was_stopping else self._process.terminate)()


def warm_up_fork_server() -> None:
    """Let a fork server import what workers need, so that each of them starts at once, and the first no later.

    Raises MissingError where it ends before it is ready; then its own message is on stderr.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with _ctrl_c_ignored():
        forkserver.ensure_running()
    process = context.Process(target=int)  # which does nothing, but not before all is imported
    try:
        process.start()
    except (OSError, EOFError):
        raise MissingError(
            "the process that prepares the workers ended while it imported them, as said above; "
            "`bench run` shows whether this environment works at all"
        ) from None
    process.join()


def execute(
    job: Job,
    on_event: Callable[[Event], None],
    start_method: str = "spawn",
    timeout_s: float | None = None,
    interrupts: Interrupts | None = None,
) -> Measured:
    """Run `job` in a process of its own and follow it to its end, however it ends.

    `on_event` gets every message of the worker, `{"kind": "tick"}` between them, and after a Ctrl-C or SIGTERM
    `{"kind": "stopping"}`, or `{"kind": "finishing"}` where `interrupts` has patience; without `interrupts`
    the first one lets the worker finish its record. After `timeout_s` seconds the worker is ended.

    Raises `Refused` for a recipe that turns out to be impossible, or data or hardware that is missing.
    """
    if interrupts is None:
        with Interrupts() as interrupts:
            return execute(job, on_event, start_method, timeout_s, interrupts)
    context: Any = multiprocessing.get_context(start_method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work_while_watched, args=(job, sender), name=f"run of {job.log.stem}")
    measured = Measured()
    oom_kills = _oom_kills()
    limit = _Limit(timeout_s)
    try:
        interrupts.start(process)
    except (OSError, EOFError) as error:
        measured.reason = f"the worker could not be started: {error or type(error).__name__}"
        receiver.close()
        return measured
    finally:
        sender.close()
    heard = interrupts.count
    on_event = _harmless(on_event)
    try:
        while _deliver(receiver, process, measured, on_event):
            limit.enforce(process)
            if interrupts.count > heard:
                heard = interrupts.count
                on_event({"kind": "stopping" if interrupts.stopping else "finishing"})
    finally:
        if process.is_alive():
            process.join(GRACE_S)
            process.kill()
        process.join()
        interrupts.ended()
        receiver.close()
    if measured.status in ("crashed", "interrupted"):
        if interrupts.stopping:
            measured.status, measured.reason = "interrupted", "stopped by the user"
        elif limit.passed:
            measured.status = "timeout"
            measured.reason = f"not done after timeout_s = {timeout_s:g} seconds; its last phase was {measured.phase}"
        elif measured.status == "crashed" and process.exitcode == -signal.SIGKILL and _oom_kills() > oom_kills:
            measured.status, measured.reason = "oom", "the kernel killed the process: the host is out of memory"
        elif measured.status == "crashed":
            measured.reason = _exit_reason(process.exitcode)
    if measured.status not in FINISHED:
        measured.log_tail = tail(job.log)
    return measured


def _harmless(on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """The same until it fails: a display whose terminal is gone ends neither the training nor its record."""
    failed = False

    def tell(event: Event) -> None:
        nonlocal failed
        if not failed:
            try:
                on_event(event)
            except (Exception, SystemExit):  # rich exits on a broken pipe
                failed = True

    return tell


def _work_while_watched(job: Job, pipe: Connection) -> None:
    """The worker's process: its work, and a thread that ends it when its parent is gone, even if it hangs."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    work(job, pipe)


class _Limit:
    """Ends a worker that takes longer than `timeout_s`: asked first, killed when it does not."""

    def __init__(self, timeout_s: float | None) -> None:
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._kill_s: float | None = None

    @property
    def passed(self) -> bool:
        return self._kill_s is not None

    def enforce(self, process: Any) -> None:
        now_s = time.monotonic()
        if self._kill_s is None:
            if self._end_s is not None and now_s >= self._end_s:
                self._kill_s = now_s + GRACE_S
                process.terminate()
        elif now_s >= self._kill_s:
            process.kill()


def _deliver(receiver: Any, process: Any, measured: Measured, on_event: Callable[[Event], None]) -> bool:
    """Take one message, or tick; false when the worker has said its last."""
    ready = wait([receiver, process.sentinel], timeout=TICK_S)
    if receiver in ready:
        try:
            event = receiver.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return False  # it was killed, perhaps in the middle of a message
        measured.take(event)
        on_event(event)
        return bool(event["kind"] != "end")
    on_event({"kind": "tick"})
    return not ready


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """For the start of a process, which inherits it."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


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
