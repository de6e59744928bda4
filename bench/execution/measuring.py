"""A job measured in this process, and how it ended told to the parent."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.execution import scratch
from bench.execution.teller import Teller
from bench.host.clock import Clock
from bench.host.contention import of_this_run
from bench.host.gc_pause import importing
from bench.measures.lookup import measure_class
from bench.spec.job import Job

if TYPE_CHECKING:
    from bench.measures.base import Measure


def measure(job: Job, clock: Clock, tell: Teller, next_job: Callable[[], Job | None] | None = None) -> bool:
    """Measure in this process and tell how it ended; whether that was at its end.

    With `next_job`, go on with the jobs that it gives, on what the first has set up, until it gives none or one of them
    ends in an error.
    """
    try:
        with clock.span("import"), importing():
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
            redirect_output(following.log)
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


def redirect_output(log: Path) -> None:
    """Send what this process prints to the end of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab", buffering=0) as file:
        scratch.hold_open(file)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Whatever encoding the user's terminal has, or if there is none.
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
