"""Finds runs by what a person types: a run's id or its beginning, `last`, or a file of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.documents.document import is_folder
from bench.errors import UsageError
from bench.runs.annotation import Annotation
from bench.runs.run import Run
from bench.runs.store import annotated, chosen, jsonl_files, read_records
from bench.text.nearest import did_you_mean

NEWEST = "last"
# Below a results folder: the store of this machine, and the runs that are kept in the repository beside it.
STORE, PUBLISHED = "runs", "published"
SHOWN_CANDIDATES = 8
FORMS = "give the beginning of a run's id or of the digits after its dash, `last` for the newest, or a .jsonl file"


def find_runs(references: Sequence[str], results: Path) -> list[Run]:
    """The runs that the references name, in their order, each once.

    A reference is a .jsonl file or a folder of such files, meaning all runs in it, or anything that `find_run` takes.
    Raises `UsageError` if it names no run or several, StoreError for files that cannot be read.
    """
    return [run for run, _ in find_places(references, results, (STORE,))]


def find_places(
    references: Sequence[str], results: Path, folders: Sequence[str] = (STORE, PUBLISHED)
) -> list[tuple[Run, Path]]:
    """The runs that the references name as for `find_runs`, each with the file that contains it."""
    found: dict[str, tuple[Run, Path]] = {}
    for reference in references:
        path = Path(reference)
        if reference and (path.suffix == ".jsonl" or is_folder(path)):
            files = jsonl_files([path])
            said: list[Annotation] = []
            places = [(run, file) for file in files for run in read_records([file], Run.from_json_line, said)]
            runs = annotated([run for run, _ in places], said)
            places = [(run, file) for run, (_, file) in zip(runs, places, strict=True)]
            if not places:
                raise UsageError(f"{path}: there is no run in it")
        else:
            places = [find_run(reference, results, folders)]
        for run, file in places:
            found.setdefault(run.run_id, (run, file))
    return list(found.values())


def find_run(reference: str, results: Path, folders: Sequence[str] = (STORE,)) -> tuple[Run, Path]:
    """The run in these folders of `results` that the reference names, and the file that contains it.

    The reference is an id, the beginning of an id or of the digits after its dash, or `last` for the newest run. Raises
    `UsageError` if it fits no run or more than one.
    """
    files = jsonl_files(results / folder for folder in folders if (results / folder).is_dir())
    wanted = reference
    if reference == NEWEST:
        # What was run here last, and only where nothing was what others published.
        wanted = _newest([file for file in files if file.parent.name == folders[0]]) or _newest(files)
    ids: list[str] = []

    def is_meant(run_id: str, _: str) -> bool:
        ids.append(run_id)
        return bool(wanted) and (run_id.startswith(wanted) or run_id.rpartition("-")[2].startswith(wanted))

    # If several files contain a run, the first counts, as everywhere.
    said: list[Annotation] = []
    found = {
        run.run_id: (run, path) for path in reversed(files) for run in read_records([path], chosen(is_meant), said)
    }
    if wanted not in found:
        _check_one(reference, list(found.values()), ids, [results / folder for folder in folders])
    run, path = found[wanted] if wanted in found else next(iter(found.values()))
    return annotated([run], said)[0], path


def _check_one(reference: str, found: Sequence[tuple[Run, Path]], ids: Sequence[str], folders: Sequence[Path]) -> None:
    """Raises `UsageError` unless one run was found; with the nearest `ids`, or with those that fit."""
    if not found:
        near = did_you_mean(reference, [*(run_id.rpartition("-")[2] for run_id in ids), *ids])
        where = " or ".join(map(str, folders))
        raise UsageError(
            f"no run in {where} has an id that begins with {reference!r}{near}; {FORMS}; `bench results` lists them"
        )
    if len(found) > 1:
        runs = sorted((run for run, _ in found), key=lambda run: run.run_id)
        shown = [describe(run) for run in runs[:SHOWN_CANDIDATES]]
        if len(found) > SHOWN_CANDIDATES:
            shown.append(f"… and {len(found) - SHOWN_CANDIDATES} more")
        listed = "".join(f"\n  {line}" for line in shown)
        raise UsageError(f"{reference!r} is the beginning of {len(found)} run ids; add digits:{listed}")


def describe(run: Run) -> str:
    """One line that identifies a run."""
    return f"{run.run_id}  {run.recipe}, seed {run.seed}, {run.measure}, {run.status}"


def _newest(files: Sequence[Path]) -> str:
    """The id of the run that began last; empty if there are no runs."""
    runs = read_records(files, Run.from_json_line)
    return max(((run.started_at, run.run_id) for run in runs), default=("", ""))[1]
