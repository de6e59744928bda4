"""Tell `bench time` what happens inside a script: `from bench.events import epoch, metrics, span`.

    with span("compile"):
        model = torch.compile(model)
    for number in range(1, 11):
        with span("train", epoch=number):
            train()
        with span("eval", epoch=number):
            accuracy = evaluate()
        epoch(accuracy, epoch=number)

Each call appends one JSON line to the file or pipe that $BENCH_EVENTS names, and does nothing where it is not set. This
file needs nothing but Python's standard library: copy it where `bench` is not installed. docs/script.md has the format.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLE = "BENCH_EVENTS"


def epoch(accuracy: object = None, **values: object) -> None:
    """An epoch has ended with this accuracy, a fraction such as 0.94, and other numbers: `loss`, `epoch` (from 1).

    Values may be scalars of NumPy or torch.
    """
    _tell("epoch", accuracy=accuracy, **values)


def metrics(**values: object) -> None:
    """Figures of the whole run, with their units in their names: `step_s`, `samples_per_s`."""
    _tell("metrics", **values)


@contextmanager
def span(name: str, **values: object) -> Iterator[None]:
    """The body is one part of a run: import, data, build, init, compile, warm_up, train, eval, final_eval or other."""
    _tell("span", name=name, state="start", **values)
    try:
        yield
    finally:
        _tell("span", name=name, state="end")


def _tell(event: str, **values: object) -> None:
    path = os.environ.get(VARIABLE)
    if not path:
        return
    known = {key: value for key, value in values.items() if value is not None}
    # All processes of a machine share this clock, so it does not matter when the line arrives.
    line = json.dumps({"event": event, "at_s": time.monotonic(), **known}, default=_number) + "\n"
    with suppress(OSError):  # nobody listens any more, and that must not end the training
        # Without O_NONBLOCK, opening a pipe that nobody reads would block.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        try:
            os.set_blocking(file, True)
            os.write(file, line.encode())
        finally:
            os.close(file)


def _number(value: object) -> float:
    """A scalar of NumPy or torch; raises TypeError for anything else."""
    return float(value)  # type: ignore[arg-type]
