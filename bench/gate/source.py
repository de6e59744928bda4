"""Where the two sides of `bench compare` come from: files of runs, a selection of them, pytest-benchmark's files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.gate.quantity import judged_as
from bench.host.git import GitFailed, git
from bench.runs.labels import flat
from bench.runs.run import FINISHED, INVALID, NOT_IDENTITY, Run
from bench.runs.store import jsonl_files, read_all_runs
from bench.spec import matrix as matrices
from bench.text.canonical import canonical_json

FORMS = (
    "give a .jsonl file of runs or a folder of them, a .json file that pytest-benchmark saved or a folder of them, "
    "a condition on recorded runs such as sweep=night or code.commit=1a2b3c4, the beginning of a run's id, or a "
    "revision whose runs were recorded"
)
COMMIT_DIGITS = 7


@dataclass(frozen=True)
class Result:
    """One run, or one benchmark of one session: what it is of, and its numbers; the latter None where it failed.

    Runs of equal `seed` are pairs where chance alone is the seed's, as in an accuracy. Runs of one `start`, of the fork
    server that they were forked off, have much in common that another start has otherwise; None where that is unknown,
    as in old records, and where each run had its own. `data_fingerprint` tells data of equal name and settings apart,
    and `versions` are those of packages; None and empty where they are not recorded.
    """

    config: Mapping[str, Any]
    label: str
    measure: str
    at: str
    metrics: Mapping[str, Any] | None
    machine: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    seed: int | None = None
    start: str | None = None
    data_fingerprint: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str | None:
        """The key of the host it was measured on; None if it is not recorded."""
        return self.machine.get("host")


def cell_label(matrix: str, values: Mapping[str, Any]) -> str:
    """How the gate calls a cell of a matrix: by the matrix's name first, which ends at the colon."""
    told = matrices.listed(values)
    return f"{matrix}: {told}" if told else matrix


def read(reference: str, results: Path) -> list[Result]:
    """The results that a word on the command line means, oldest first.

    Raises UsageError for a word that means nothing, StoreError for files that cannot be read.
    """
    path = Path(reference)
    if path.exists():
        found = _in_path(path)
    elif any(sign in reference for sign in "=<>") or ("~" in reference and _commit(reference) is None):
        found = _selected(reference, results)  # and HEAD~1 is a revision
    else:
        found = _of_revision_or_id(reference, results)
    if not found:
        raise UsageError(f"{reference}: there is nothing to compare in it; {FORMS}")
    return sorted(found, key=lambda result: result.at)


def of_run(run: Run) -> Result:
    """A run as something to compare; interrupted ones say nothing and are not for this."""
    config = {key: value for key, value in run.config.items() if key not in (*NOT_IDENTITY, "resolved")}
    ended = run.status in FINISHED
    reason = None if ended else f"{run.status}: {run.reason or 'no reason was given'}"
    metrics = run.metrics if ended else None
    return Result(
        flat({"recipe": run.recipe, **config}),
        run.recipe,
        judged_as(run.measure, run.config),
        run.started_at,
        metrics,
        run.machine,
        run.code,
        reason,
        run.seed,
        (run.config.get("resolved") or {}).get("start"),
        run.data.get("fingerprint"),
        run.versions,
    )


def of_benchmarks(path: Path) -> list[Result]:
    """A result for each benchmark in a file that pytest-benchmark saved: the least time of the rounds of that session.

    The rounds of one session share a process, and what differs from process to process (addresses, hash seeds,
    neighbours) is not seen in them; so a session counts as one value, however many rounds it had.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8-sig"))  # as some shells write it
        machine = _benchmark_machine(saved.get("machine_info") or {})
        code = {"commit": (saved.get("commit_info") or {}).get("id")}
        moment = str(saved.get("datetime", ""))
        return [
            Result({"benchmark": name}, name, "benchmark", moment, {"min_s": least_s}, machine, code)
            for name, least_s in (_benchmark(one) for one in saved["benchmarks"])
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{path}: this is no file of pytest-benchmark: {_why(error)}; "
            "`pytest --benchmark-only --benchmark-json FILE` writes one"
        ) from None


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno} is not valid JSON: {error.msg}"
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return str(error)


def _benchmark(saved: Mapping[str, Any]) -> tuple[str, float]:
    """Its name and its least seconds a call."""
    name, least_s = saved["fullname"], saved["stats"]["min"]
    if not isinstance(name, str):
        raise TypeError(f"fullname is {name!r}, and no text")
    if isinstance(least_s, bool) or not isinstance(least_s, int | float) or not 0 <= least_s < math.inf:
        raise TypeError(f"the min of {name} is {least_s!r}, and no number of seconds")
    return name, float(least_s)


def _benchmark_machine(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a session's file says of its machine; `id` is None where it names no model of CPU.

    py-cpuinfo called the model `brand` before version 6, and `brand_raw` since.
    """
    cpu = told.get("cpu") or {}
    model = " ".join(str(cpu.get("brand_raw") or cpu.get("brand") or "").split()) or None
    cores = cpu.get("count")
    return {
        "id": model and canonical_json([model.casefold(), cores, told.get("machine")]),
        "cpu_model": model,
        "usable_cores": cores,
        "python": told.get("python_version"),
    }


def _in_path(path: Path) -> list[Result]:
    if path.suffix == ".json":
        return of_benchmarks(path)
    runs = list(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if path.is_dir() and not runs:
        return [result for file in sorted(path.rglob("*.json")) for result in of_benchmarks(file)]
    return _of_runs(read_all_runs(jsonl_files(sorted(runs))))


def _selected(conditions: str, results: Path) -> list[Result]:
    """The recorded runs that meet conditions which commas separate."""
    from bench.runs.frames import load
    from bench.runs.selection import select

    wanted = set(select(load(results=results).runs, conditions.split(","))["run_id"])
    return _of_runs([run for run in _recorded(results) if run.run_id in wanted])


def _of_revision_or_id(name: str, results: Path) -> list[Result]:
    """The recorded runs of clean sources at a commit, or the one whose id begins so."""
    commit = _commit(name)
    runs = _recorded(results)
    named = [run for run in runs if run.run_id.startswith(name)]
    if commit is None and len(named) == 1:
        return _of_runs(named)
    commit = commit or name
    found = [run for run in runs if str(run.code.get("commit") or "").startswith(commit) and not run.code.get("dirty")]
    if not found:
        commits = {str(run.code["commit"])[:COMMIT_DIGITS] for run in runs if run.code.get("commit")}
        known = f"runs are recorded of {', '.join(sorted(commits))}" if commits else "no run there has a commit"
        raise UsageError(
            f"{name}: no such file, and no run of that id or revision in {results / 'runs'}: {known}; {FORMS}"
        )
    return _of_runs(found)


def _commit(name: str) -> str | None:
    """The commit of a revision of the repository that one is in."""
    try:
        return git(Path.cwd(), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitFailed:
        return None


def _recorded(results: Path) -> list[Run]:
    folder = results / "runs"
    return read_all_runs(jsonl_files([folder])) if folder.is_dir() else []


def _of_runs(runs: Sequence[Run]) -> list[Result]:
    return [of_run(run) for run in runs if run.status not in ("interrupted", "skipped", INVALID)]
