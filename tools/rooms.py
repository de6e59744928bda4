"""The rooms of the house, and who may import whom: `python -m tools.rooms` prints the table of CONTRIBUTING.md.

A room imports only itself and rooms below it in `ROOMS`; tests/test_rooms.py keeps it so.
"""

from __future__ import annotations

import ast
import graphlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# From the top down; what each holds.
ROOMS = {
    "bench/api": "what `import bench` offers: run, sweep, load, leaderboard, with data frames as the answer",
    "bench/cli": "the command `bench`: its options, and the work of each command",
    "bench/report/html": "the report's pages, and charts as pictures",
    "bench/report/terminal": "tables and progress for a terminal, and the same as text files",
    "bench/report/charts": "charts as data: scales, series, dots with intervals; nothing is drawn",
    "bench/claims": "statements of lectures, and the verdicts that recorded runs give",
    "bench/gate": "the speed gate: two revisions, or a baseline, compared",
    "bench/exchange": "DAWNBench entries and MLPerf logs, read and written; runs for experiment trackers",
    "bench/scores": "rule books, published records, leaderboard, scaling",
    "bench/execution": "workers, ranks, the runner, sweeps, recording",
    "bench/profiling": "where the time of a step goes; what a recipe costs on paper",
    "bench/measures": "what is measured of a recipe, a measure a file",
    "bench/spec": "recipe, matrix, plan, prices: what is asked for, checked and not run",
    "bench/ingredients": "what a recipe adds to training, a file each: settings, conflicts, and hooks of the loop",
    "bench/tasks": "kinds of training that are no classifier's, a task a file, and their settings",
    "bench/training": "the loop to a target; knows a model, batches, a clock and hooks, no files and no YAML",
    "models": "networks, a family a file; torch only",
    "pipelines": "data sets, loaders, augmentation",
    "bench/registry": "what a name stands for: a thing of bench's own, a package's, or a user's file's",
    "bench/runs": "the Run, stores of runs, annotations, data frames, merging, kept weights",
    "bench/host": "the machine and the code: fingerprint, provenance, energy, clock, contention",
    "bench/statistics": "means, intervals, order statistics, sampling",
    "bench/documents": "YAML and settings, read strictly",
    "bench/text": "numbers and units in words, and the one way to a terminal",
    "bench": "the ground: `bench.files`, `bench.errors`, `bench.about`; `bench.events` for users' scripts",
}


class Import(NamedTuple):
    """`importer` and `imported` are files below the root; `line` is where."""

    importer: Path
    line: int
    imported: Path


def imports(root: Path = ROOT) -> Iterator[Import]:
    """Every import of the project's own modules, lazy ones and those for types alone included."""
    for package in ("bench", "models", "pipelines"):
        for path in sorted((root / package).rglob("*.py")):
            if any(parent.is_symlink() for parent in path.relative_to(root).parents if parent != Path()):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for name in _names(node):
                    if (found := _file(root, name)) is not None:
                        yield Import(path.relative_to(root), node.lineno, found)  # type: ignore[attr-defined]


def room_of(path: Path) -> str:
    """The room of a file. The package's own entry points are at the top, because they open every door."""
    if path in (Path("bench/__init__.py"), Path("bench/__main__.py")):
        return next(iter(ROOMS))
    return next(room for room in (str(parent) for parent in path.parents) if room in ROOMS)


def is_upward(found: Import) -> bool:
    """Whether a room imports one that stands above it."""
    order = list(ROOMS)
    return order.index(room_of(found.importer)) > order.index(room_of(found.imported))


def circle(found: Iterable[Import]) -> list[Path]:
    """Files that import each other in a circle, the first of them again at the end; empty where there is none."""
    imported: dict[Path, set[Path]] = defaultdict(set)
    for one in found:
        imported[one.importer].add(one.imported)
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        files: list[Path] = error.args[1]
        return files
    return []


def table() -> str:
    """Markdown: a row a room, from the top down."""
    rows = [f"| `{room}/` | {holds} |" for room, holds in ROOMS.items()]
    return "\n".join(["| Room | What lives there |", "|---|---|", *rows]) + "\n"


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield f"{node.module}.{alias.name}"


def _file(root: Path, name: str) -> Path | None:
    """The file of a module, or of the module that has the last part of the name; None for others' modules."""
    first, *rest = name.split(".")
    if first != "bench":
        return None
    parts = rest if rest and rest[0] in ("models", "pipelines") else ["bench", *rest]
    for end in (len(parts), len(parts) - 1):
        where = Path(*parts[:end]) if end else Path()
        for path in (where.with_suffix(".py") if end else where, where / "__init__.py"):
            if end and (root / path).is_file():
                return path
    return None


if __name__ == "__main__":
    print(table(), end="")
