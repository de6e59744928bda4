"""Which runs are repeats of each other, and what they are called together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.runs.labels import labels
from bench.runs.run import Run
from bench.scores.rules.trials import Kind
from bench.text import units


def groups(runs: Iterable[Run]) -> list[list[Run]]:
    """Lists of runs that are repeats of each other: of the same cell, measure and machine, and started in the
    same way. A run that another one continued is a part of that one, and left out.

    Runs of several versions of the code are repeats of each other too, as long as no two versions ran the same seed.
    """
    every = list(runs)
    continued = {part.get("run_id") for run in every for part in run.resumed}
    found: dict[Kind, list[Run]] = {}
    for run in every:
        if run.run_id in continued:
            continue
        found.setdefault(Kind.of(run), []).append(run)
    return [repeats for alike in found.values() for repeats in _by_code(alike)]


def _by_code(runs: list[Run]) -> list[list[Run]]:
    """The runs of each version of the code, or all of them together if none ran a seed of another's."""
    versions: dict[str | None, list[Run]] = {}
    for run in runs:
        versions.setdefault(run.code.get("sources_sha256"), []).append(run)
    seeds = [{run.seed for run in same} for same in versions.values()]
    return list(versions.values()) if sum(map(len, seeds)) > len(set().union(*seeds)) else [runs]


def names(repeats: Sequence[Sequence[Run]]) -> list[str]:
    """A name for each of `groups`: the label of its cell, and the hash of its code where several versions ran it."""
    firsts = [runs[0] for runs in repeats]
    kinds = [Kind.of(run) for run in firsts]
    versions = Counter(kinds)
    return [
        f"{label}, code {_code(run)}" if versions[kind] > 1 else label
        for label, run, kind in zip(labels(firsts), firsts, kinds, strict=True)
    ]


def _code(run: Run) -> str:
    sha256: str | None = run.code.get("sources_sha256")
    return sha256[: units.ID_DIGITS] if sha256 else "unknown"
