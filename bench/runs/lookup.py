"""Finds runs by what a person types: a run's id or its beginning, `last`, or a file of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents.document import is_folder
from bench.errors import UsageError
from bench.runs.run import Run
from bench.runs.store import jsonl_files, read_all_runs, read_records, read_runs

NEWEST = "last"
SHOWN_CANDIDATES = 8
FORMS = "give the beginning of a run's id or of the digits after its dash, `last` for the newest, or a .jsonl file"


def find_runs(references: Sequence[str], results: Path) -> list[Run]:
    """The runs that the references name, in their order, each once.

    A reference is a .jsonl file or a folder of such files, meaning all runs in it, or anything that `find_run` takes.
    Raises `UsageError` if it names no run or several, StoreError for files that cannot be read.
    """
    found: dict[str, Run] = {}
    for reference in references:
        path = Path(reference)
        if reference and (path.suffix == ".jsonl" or is_folder(path)):
            runs = read_all_runs(jsonl_files([path]))
            if not runs:
                raise UsageError(f"{path}: there is no run in it")
        else:
            runs = [find_run(reference, results)[0]]
        found |= {run.run_id: run for run in runs}
    return list(found.values())


def find_run(reference: str, results: Path) -> tuple[Run, Path]:
    """The run below `results` that the reference names, and the file that contains it.

    The reference is an id, the beginning of an id or of the digits after its dash, or `last` for the newest run. Raises
    `UsageError` if it fits no run or more than one.
    """
    folder = results / "runs"
    files = jsonl_files([folder]) if folder.is_dir() else []
    wanted = _newest(files) if reference == NEWEST else reference

    def is_meant(run_id: str, _: str) -> bool:
        return bool(wanted) and (run_id.startswith(wanted) or run_id.rpartition("-")[2].startswith(wanted))

    # If several files contain a run, the first counts, as everywhere.
    found = {run.run_id: (run, path) for path in reversed(files) for run in read_runs([path], is_meant)}
    if wanted in found:
        return found[wanted]
    if not found:
        raise UsageError(f"no run in {folder} has an id that begins with {reference!r}; {FORMS}")
    if len(found) > 1:
        shown = [describe(found[run_id][0]) for run_id in sorted(found)[:SHOWN_CANDIDATES]]
        if len(found) > SHOWN_CANDIDATES:
            shown.append(f"… and {len(found) - SHOWN_CANDIDATES} more")
        listed = "".join(f"\n  {line}" for line in shown)
        raise UsageError(f"{reference!r} is the beginning of {len(found)} run ids; add digits:{listed}")
    return next(iter(found.values()))


def describe(run: Run) -> str:
    """One line that identifies a run."""
    return f"{run.run_id}  {run.recipe}, seed {run.seed}, {run.measure}, {run.status}"


def _newest(files: Sequence[Path]) -> str:
    """The id of the run that began last; empty if there are no runs."""
    runs = read_records(files, Run.from_json_line)
    return max(((run.started_at, run.run_id) for run in runs), default=("", ""))[1]
