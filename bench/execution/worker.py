"""The worker's process: its ends of the pipe, the log and the signals. What it measures is in `bench.measures`.

The parent is told by flat messages over a pipe (see `bench.execution.runner`), so that whatever ends this process,
what was measured until then is known.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.execution import programs, scratch
from bench.host.clock import Clock
from bench.host.contention import of_this_run
from bench.host.provenance import Sources
from bench.measures import measure_class
from bench.spec.job import Job

if TYPE_CHECKING:
    from bench.measures.base import Measure


# Messages that a reader who lags behind can do without.
EXPENDABLE = ("step", "download")


class Teller:
    """The worker's end of the pipe, and its ear for SIGTERM.

    SIGTERM raises KeyboardInterrupt, once, and never in the middle of a message, which would tear it.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._telling = self._interrupted = False
        signal.signal(signal.SIGTERM, self._interrupt)

    def __call__(self, kind: str, **values: Any) -> None:
        if kind in EXPENDABLE and not select.select([], [self._pipe], [], 0)[1]:
            return  # the parent's terminal stands still, and training is not to wait for it
        self._telling = True
        try:
            self._pipe.send({"kind": kind, **values})
        except (BrokenPipeError, ConnectionResetError):
            # Nobody is left to record this run, and a worker must not outlive its parent.
            os._exit(1)
        finally:
            self._telling = False
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def _interrupt(self, _signum: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._telling:
            self._interrupted = True
        else:
            raise KeyboardInterrupt


def end_with_parent() -> None:
    """Let this process not outlive the one that started it, even if it hangs."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def work(job: Job, pipe: Connection) -> None:
    """The entry of the worker's process; its output goes to the job's log.

    SIGTERM ends the run early, recorded as interrupted. SIGINT is left to the parent, which gets it from
    the same key and decides.
    """
    clock = Clock(job.origin_s)
    clock.add("start", 0.0, clock.elapsed_s())
    _redirect_output(job.log)
    job.share.keep_to()
    clock.sampler = of_this_run()
    tell = Teller(pipe)
    # Before the rest of it is imported, and from where this process imports it.
    tell("facts", imported_sources_sha256=Sources.now().sha256)
    with programs.cached(job.keep_compiled):
        try:
            if job.recipe.device_count > 1:
                from bench.execution.ranks import launch

                launch(job, clock, tell)
            else:
                measure(job, clock, tell, pipe.recv if job.shared_process else None)
        except KeyboardInterrupt:
            tell("end", status="interrupted", reason="stopped by the user")
        except EOFError:
            pass  # nobody is left to give another job


def measure(job: Job, clock: Clock, tell: Teller, next_job: Callable[[], Job | None] | None = None) -> bool:
    """Measure in this process and tell how it ended; whether that was at its end.

    With `next_job`, go on with the jobs that it gives, on what the first has set up, until it gives none or one of them
    ends in an error.
    """
    try:
        with clock.span("import"):
            kind = measure_class(job.measure)
    except BenchError as error:
        traceback.print_exc()
        tell("refused", message=str(error), exit_code=error.exit_code)
        return False
    measured = kind(job, clock, tell)
    with ExitStack() as open_loaders:
        good = _to_its_end(measured, lambda: measured.run(open_loaders))
        while next_job and measured.leaves_order and (following := next_job()):
            clock = Clock(following.origin_s, sampler=of_this_run())
            clock.add("start", 0.0, clock.elapsed_s())
            _redirect_output(following.log)
            before, measured = measured, kind(following, clock, tell)
            good = _to_its_end(measured, partial(measured.run_after, before))
    return good


def _to_its_end(measured: Measure, run: Callable[[], None]) -> bool:
    """Run, and tell the end where an error or a signal is it; whether neither was."""
    from bench.measures.base import as_refusal, status_of

    try:
        run()
        return True
    except Exception as error:
        traceback.print_exc()
        refusal = as_refusal(error)
        if refusal:
            measured.tell("refused", message=str(refusal), exit_code=refusal.exit_code)
        else:
            measured.end(*status_of(error))
    except KeyboardInterrupt:
        measured.end("interrupted", "stopped by the user")
    return False


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab", buffering=0) as file:
        scratch.hold_open(file)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Whatever encoding the user's terminal has, or if there is none.
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
