"""How a script's run ended: its status and the reason."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from bench.runs.run import Status
from bench.text.units import percent

# A shell adds this to the number of the signal that ended a command.
SHELL_SIGNAL = 128
# If a killed script held this share of the machine's memory, it was killed because memory ran out.
FULL_SHARE = 0.9
SHOWN_LINES = 3
SHOWN_CHARS = 200
_OUT_OF_MEMORY = re.compile(
    r"\bMemoryError\b|OutOfMemoryError|CUDA out of memory|std::bad_alloc|[Cc]an(?:'|no)t allocate memory|out of memory"
)


@dataclass(frozen=True)
class Ending:
    """The facts at the end of a run; `oom_kills` counts processes that the kernel killed because memory ran out."""

    exit_code: int
    last_lines: Sequence[str]
    accuracy: float | None
    loss: float | None
    target: float | None
    wants_accuracy: str | None
    failure: str | None
    peak_bytes: int | None
    memory_bytes: int | None
    oom_kills: int = 0


def verdict(ending: Ending) -> tuple[Status, str | None]:
    """The status of a script that ended by itself, and the reason if it is not fine."""
    if ending.exit_code:
        return _of_exit(ending)
    if ending.failure is not None:
        return "failed", ending.failure
    for name, value in (("accuracy", ending.accuracy), ("loss", ending.loss)):
        if value is not None and not math.isfinite(value):
            return "diverged", f"its last {name} is {value:g}"
    if ending.accuracy is None:
        if ending.wants_accuracy is None:
            return "ok", None
        return "failed", f"no accuracy was found by {ending.wants_accuracy}; {_last(ending.last_lines)}"
    if ending.target is None or ending.accuracy >= ending.target:
        return "ok", None
    return "not_reached", f"accuracy {percent(ending.accuracy)} is below the target of {percent(ending.target)}"


def _of_exit(ending: Ending) -> tuple[Status, str]:
    number = _signal_of(ending.exit_code)
    if number == signal.SIGKILL and (why := _why_out_of_memory(ending)):
        return "oom", f"it was killed by SIGKILL: {why}"
    if number is not None:
        return "crashed", f"it was killed by {number.name}; {_last(ending.last_lines)}"
    told = next((line for line in reversed(ending.last_lines) if _OUT_OF_MEMORY.search(line)), None)
    if told is not None:
        return "oom", f"it ended with exit code {ending.exit_code}: {told.strip()[:SHOWN_CHARS]}"
    if ending.oom_kills:
        return "oom", f"it ended with exit code {ending.exit_code}: the kernel killed a process because memory ran out"
    return "crashed", f"it ended with exit code {ending.exit_code}; {_last(ending.last_lines)}"


def _why_out_of_memory(ending: Ending) -> str | None:
    if ending.oom_kills:
        return "the kernel had no memory left"
    if ending.peak_bytes and ending.memory_bytes and ending.peak_bytes >= FULL_SHARE * ending.memory_bytes:
        share = ending.peak_bytes / ending.memory_bytes
        return f"its processes held {share:.0%} of the memory, so memory ran out"
    return None


def _signal_of(exit_code: int) -> signal.Signals | None:
    number = -exit_code if exit_code < 0 else exit_code - SHELL_SIGNAL
    try:
        return signal.Signals(number) if number > 0 else None
    except ValueError:
        return None


def _last(lines: Sequence[str]) -> str:
    if not lines:
        return "it printed nothing"
    shown = " / ".join(line.strip()[:SHOWN_CHARS] for line in lines[-SHOWN_LINES:])
    return f"its last {'line was' if len(lines) == 1 else 'lines were'}: {shown}"
