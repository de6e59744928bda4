"""List the recipes that come with the project."""

from __future__ import annotations

from rich.console import Console

from bench.cli.summaries import recipe_table


def recipes(console: Console) -> None:
    console.print(recipe_table())
