"""The shipped recipes and matrices, each with its summary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from bench.documents import yaml_reader
from bench.spec import matrix, recipes


def recipe_table() -> Table:
    return _table("recipe", "bench run RECIPE, bench show RECIPE", map(recipes.find, recipes.names()))


def matrix_table() -> Table:
    return _table("matrix", "bench sweep MATRIX", (matrix.MATRICES / f"{name}.yaml" for name in matrix.names()))


def _table(kind: str, title: str, paths: Iterable[Path]) -> Table:
    table = Table(kind, "what it does", title=title, title_justify="left")
    for path in paths:
        table.add_row(path.stem, str(yaml_reader.read(path)[0].get("summary", "")))
    return table
