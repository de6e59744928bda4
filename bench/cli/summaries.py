"""The shipped recipes and matrices, each with its summary; what checks them takes longer than the list."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from bench.documents import yaml_reader
from bench.files import PACKAGE


def recipe_table() -> Table:
    return _table("recipe", "bench run RECIPE, bench show RECIPE", PACKAGE / "recipes")


def matrix_table() -> Table:
    return _table("matrix", "bench sweep MATRIX", PACKAGE / "matrices")


def _table(kind: str, title: str, folder: Path) -> Table:
    table = Table(kind, "what it does", title=title, title_justify="left")
    for path in sorted(folder.glob("*.yaml")):
        table.add_row(path.stem, str(yaml_reader.read(path)[0].get("summary", "")))
    return table
