"""The worker's process: its ends of the pipe, the log and the signals. What it measures is in `bench.measurement`.

The parent is told by flat messages over a pipe (see `bench.runner`), so that whatever ends this process,
what was measured until then is known.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    `origin_s` is the reading of `time.monotonic` at which the user's command, or this run of several,
    began. `cache` is where loaders keep converted data.
    """

    recipe: Recipe
    seed: int
    device: str
    data_dir: Path | None
    cache: Path
    log: Path
    origin_s: float


class Teller:
    """The worker's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, kind: str, **values: Any) -> None:
        try:
            self._pipe.send({"kind": kind, **values})
        except (BrokenPipeError, ConnectionResetError):
            # Nobody is left to record this run, and a worker must not outlive its parent.
            os._exit(1)


def work(job: Job, pipe: Connection) -> None:
    """The entry of the worker's process; its output goes to the job's log.

    SIGTERM ends the run early, recorded as interrupted. SIGINT is left to the parent, which gets it from
    the same key and decides.
    """
    _redirect_output(job.log)
    signal.signal(signal.SIGTERM, _interrupt)
    tell = Teller(pipe)
    clock = Clock(job.origin_s)
    try:
        from bench.measurement import TimeToAccuracy, as_refusal, status_of

        clock.add("import", 0.0, clock.elapsed_s())
        measurement = TimeToAccuracy(job, clock, tell)
        try:
            measurement.run()
        except Exception as error:
            traceback.print_exc()
            refusal = as_refusal(error)
            if refusal:
                tell("refused", message=str(refusal), exit_code=refusal.exit_code)
            else:
                measurement.end(*status_of(error))
        except KeyboardInterrupt:
            measurement.end("interrupted", "stopped by the user")
    except KeyboardInterrupt:
        tell("end", status="interrupted", reason="stopped by the user", metrics={}, spans=[])


def _interrupt(_signum: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
