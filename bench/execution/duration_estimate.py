"""The expected duration of a cell, from its known runs only."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from bench.files import PACKAGE
from bench.runs.run import FINISHED, Run, cell_id
from bench.runs.store import Store
from bench.text import units

# Runs that come with the project, for a machine without runs of its own.
PUBLISHED = PACKAGE / "published"


class Expectation(NamedTuple):
    """The duration of one run, None if unknown; and the same in words with its origin."""

    total_s: float | None
    said: str


def expect(cell: str, machine_id: str, own: Iterable[Run]) -> Expectation:
    """The duration of one run of `cell` by runs on this machine, else by runs elsewhere, else unknown."""
    known = [run for run in own if run.cell == cell]
    finished = [run for run in known if _tells_duration(run)]
    here = [run for run in finished if run.machine.get("id") == machine_id]
    if (mean_s := mean_here_s(cell, machine_id, here)) is not None:
        return Expectation(mean_s, f"{units.duration(mean_s)} a seed, the mean of {len(here)} earlier on this machine")
    published = [run for path in sorted(PUBLISHED.glob("*.jsonl")) for run in Store(path).read()]
    elsewhere = finished or [run for run in published if cell_now(run) == cell and _tells_duration(run)]
    if elsewhere:
        run = elsewhere[-1]
        machine = f"{run.machine.get('cpu_model')}, {run.machine.get('usable_cores')} cores"
        about_s = _total_s(run)
        return Expectation(about_s, f"about {units.duration(about_s)} a seed, as on another machine ({machine})")
    why = "no earlier run was timed as a whole" if any(map(_is_finished, known)) else "this has not been run before"
    return Expectation(None, f"unknown, {why}; the time left is shown after the first steps")


def mean_here_s(cell: str, machine_id: str, runs: Iterable[Run]) -> float | None:
    """The mean duration of the cell's finished runs on this machine; None if there are none."""
    timed = (run for run in runs if run.cell == cell and _tells_duration(run))
    here_s = [_total_s(run) for run in timed if run.machine.get("id") == machine_id]
    return fmean(here_s) if here_s else None


def cell_now(run: Run) -> str:
    """The cell id that this version gives to a run recorded by an earlier version."""
    config = {key: value for key, value in run.config.items() if key != "resolved"}
    config["precision"] = run.config.get("resolved", {}).get("precision", config.get("precision"))
    return cell_id(config | {"measure": run.measure})


def _is_finished(run: Run) -> bool:
    return run.status in FINISHED


def _tells_duration(run: Run) -> bool:
    """Whether it says how long a whole run takes; a resumed one does not, nor one that was imported without a total."""
    return _is_finished(run) and not run.resumed and run.metrics.get("total_s") is not None


def _total_s(run: Run) -> float:
    return float(run.metrics["total_s"] or 0)
