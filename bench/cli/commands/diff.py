"""Show two runs side by side: the settings that differ, the figures, the phases, the memory and the curves.

Each run stands for its cell: its repeats with other seeds count too, and then the figures are means with a 95 %
interval of their ratio or difference. Two runs of one cell, and --alone, compare the two runs themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import Results
from bench.errors import UsageError
from bench.report.terminal.diff import print_diff
from bench.report.terminal.diff_side import DiffSide
from bench.runs.lookup import PUBLISHED, STORE, find_places, find_run
from bench.runs.run import Run
from bench.runs.store import jsonl_files, read_runs
from bench.scores.rules import Kind

# Of a repository that was cloned, the published runs are all there is.
FOLDERS = (STORE, PUBLISHED)


def diff(
    run_a: Annotated[
        str, typer.Argument(metavar="RUN_A", help="The beginning of a run's id, last, or a .jsonl file of one cell.")
    ],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run that is compared with it, in the same forms.")],
    console: Console,
    alone: Annotated[bool, typer.Option("--alone", help="These two runs, without their repeats.")] = False,
    results: Results = Path("results"),
) -> None:
    """Raises UsageError for what is no run, and for two that are the same."""
    first, second = _runs_of(run_a, results), _runs_of(run_b, results)
    if first == second:
        raise UsageError(f"{run_a} and {run_b} are the same run; name another one")
    if not alone and Kind.of(first[0]) != Kind.of(second[0]):
        first, second = (_with_repeats(runs, results) for runs in (first, second))
    print_diff(console, DiffSide("A", tuple(first)), DiffSide("B", tuple(second)))


def _runs_of(reference: str, results: Path) -> list[Run]:
    """One run, or all of a file. Raises UsageError for a file of several cells."""
    if not reference.endswith(".jsonl"):
        return [find_run(reference, results, FOLDERS)[0]]
    runs = [run for run, _ in find_places([reference], results)]
    if len({Kind.of(run) for run in runs}) > 1:
        raise UsageError(f"{reference} has runs of several cells; name one run by the beginning of its id")
    return runs


def _with_repeats(runs: list[Run], results: Path) -> list[Run]:
    """A single run with the others of its cell, in the order of their seeds."""
    folders = [results / name for name in FOLDERS if (results / name).is_dir()]
    if len(runs) > 1:
        return runs
    kind = Kind.of(runs[0])
    found = read_runs(jsonl_files(folders), lambda _, cell: cell == kind.cell)
    alike = {run.run_id: run for run in [*runs, *found] if Kind.of(run) == kind}
    return sorted(alike.values(), key=lambda run: (run.seed, run.run_id))
