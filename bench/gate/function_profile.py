"""The time of each function of a Python script, by Python's profiler, for comparing two versions."""

from __future__ import annotations

import marshal
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_PYTHON = re.compile(r"(.*/)?python[\d.]*")
# What an installed library's file lies below.
_INSTALLED = re.compile(r".*/(?:site|dist)-packages/|.*/lib/python[\d.]+/")


def profiled(argv: Sequence[str], out: Path) -> list[str] | None:
    """The command with the profiler, which writes to `out`; None if it is not a Python script."""
    if not _PYTHON.fullmatch(argv[0]):
        return None
    at = next((at for at, one in enumerate(argv) if at and (not one.startswith("-") or one in ("-m", "-c"))), None)
    if at is None or argv[at] == "-c":
        return None
    return [*argv[:at], "-m", "cProfile", "-o", str(out), *argv[at:]]


def function_seconds(file: Path, root: Path) -> dict[str, float]:
    """The own seconds of each function, by name and file; empty if the profile cannot be read.

    Line numbers are left out, because a change above a function moves it; functions of the same name in a file are
    added.
    """
    try:
        with file.open("rb") as opened:
            found = marshal.load(opened)
        seconds: dict[str, float] = defaultdict(float)
        for (path, _line, name), (_calls, _primitive, own_s, *_rest) in found.items():
            seconds[_told(path, name, root)] += float(own_s)
    except (OSError, ValueError, TypeError, EOFError, AttributeError):
        return {}
    return dict(seconds)


def _told(path: str, name: str, root: Path) -> str:
    if path == "~":  # built in
        return name.strip("<>")
    for top in (f"{root}/", f"{root.resolve()}/"):
        path = path.removeprefix(top)
    return f"{name} ({_INSTALLED.sub('', path)})"
