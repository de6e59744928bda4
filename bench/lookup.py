"""Runs of the store by what a person types: the beginning of a run id, or a file of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.run import Run
from bench.store import jsonl_files, read_records

SHOWN_CANDIDATES = 8


def find_runs(references: Sequence[str], results: Path) -> list[Run]:
    """The runs meant by the references, in their order, each once.

    A reference is a .jsonl file or a folder of them, which means all its runs, or the beginning of the id of one
    run below `results`. Raises `UsageError` for one that means no run or several, StoreError for files that cannot
    be read.
    """
    folder = results / "runs"
    stored: list[Run] | None = None
    found: dict[str, Run] = {}
    for reference in references:
        path = Path(reference)
        if reference and (path.suffix == ".jsonl" or path.is_dir()):
            runs = _read([path])
            if not runs:
                raise UsageError(f"{path}: there is no run in it")
        else:
            if stored is None:
                stored = _read([folder]) if folder.is_dir() else []
            runs = [match(reference, stored, folder)]
        found |= {run.run_id: run for run in runs}
    return list(found.values())


def match(prefix: str, runs: Iterable[Run], where: Path) -> Run:
    """The one run whose id begins with `prefix`. Raises `UsageError` where there is none, or more than one."""
    matching = [run for run in runs if prefix and run.run_id.startswith(prefix)]
    if not matching:
        raise UsageError(
            f"no run in {where} has an id that begins with {prefix!r}; "
            "give the beginning of a run's id, or a .jsonl file"
        )
    if len(matching) > 1:
        shown = [describe(run) for run in matching[:SHOWN_CANDIDATES]]
        if len(matching) > SHOWN_CANDIDATES:
            shown.append(f"… and {len(matching) - SHOWN_CANDIDATES} more")
        listed = "".join(f"\n  {line}" for line in shown)
        raise UsageError(f"{prefix!r} is the beginning of {len(matching)} run ids; add digits:{listed}")
    return matching[0]


def describe(run: Run) -> str:
    """One line that tells a run from others."""
    return f"{run.run_id}  {run.recipe}, seed {run.seed}, {run.measure}, {run.status}"


def _read(paths: Sequence[Path]) -> list[Run]:
    return list(read_records(jsonl_files(paths), Run.from_json_line))
