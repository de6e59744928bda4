"""List the names that recipes, matrices and options may use: bench's own, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli import completion
from bench.cli.summaries import matrix_table, recipe_table
from bench.documents.keys import keys_of
from bench.errors import UsageError
from bench.models import MODELS
from bench.pipelines.augmentations import AUGMENTATIONS
from bench.pipelines.datasets import DATASETS
from bench.pipelines.loaders import LOADERS
from bench.profiling import cards
from bench.registry.registry import Registry
from bench.scores.rules import BOOKS
from bench.spec.matrix import MatrixSpec
from bench.spec.measures import MEASURES
from bench.spec.recipe import Recipe
from bench.tasks import TASKS
from bench.text.console import say
from bench.text.nearest import did_you_mean
from bench.training.registries import OPTIMIZERS, SCHEDULES

YOURS = "Yours is named path/to/file.py:Name or package.module:Name; docs/your_network.md shows how."
REGISTRIES = (MODELS, DATASETS, LOADERS, MEASURES, BOOKS, OPTIMIZERS, SCHEDULES, AUGMENTATIONS)


def list_(
    console: Console,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help=f"One of {', '.join(completion.kinds(''))}; default: all kinds that you can add to.",
            autocompletion=completion.kinds,
        ),
    ] = None,
) -> None:
    """Raises `UsageError` for a kind that there is not."""
    registries = {registry.group: registry for registry in REGISTRIES}
    if kind is not None and kind in OTHERS:
        console.print(OTHERS[kind]())
        return
    if kind is not None and kind not in registries:
        known = [*registries, *OTHERS]
        raise UsageError(f"there is no list of {kind[:80]!r}{did_you_mean(kind, known)}; there are: {', '.join(known)}")
    for registry in registries.values() if kind is None else [registries[kind]]:
        console.print(_of_registry(registry))
    say(console, YOURS)


def _of_registry(registry: Registry[Any]) -> Table:
    table = Table(registry.kind, "what it is", title=registry.group, title_justify="left")
    for name, entry in registry.items():
        table.add_row(Text(name), Text(entry.summary))
    for name, points in sorted(registry.installed.items()):
        table.add_row(
            Text(name), Text(" or ".join(f"{point.value}, of {point.dist.name}" for point in points if point.dist))
        )
    if not table.row_count:
        table.add_row("", "bench's own are keys of a recipe's `augment`; no installed package offers one")
    return table


def _cards() -> Table:
    table = Table("card", "what it is", title="bench show RECIPE --card NAME", title_justify="left")
    for name, card in cards.table().items():
        table.add_row(name, card.hardware)
    return table


def _tasks() -> Table:
    table = Table(
        "task", "what it is", title="the kinds of training of a recipe, by its key task", title_justify="left"
    )
    for name, info in TASKS.items():
        table.add_row(name, info.summary)
    return table


def _keys() -> Table:
    return _names("key", "bench run RECIPE --set KEY=VALUE", keys_of(Recipe))


def _matrix_keys() -> Table:
    return _names("key", "keys of a matrix file", keys_of(MatrixSpec))


def _names(heading: str, title: str, names: list[str]) -> Table:
    table = Table(heading, title=title, title_justify="left")
    for name in names:
        table.add_row(name)
    return table


OTHERS: dict[str, Callable[[], Table]] = {
    "recipes": recipe_table,
    "matrices": matrix_table,
    "cards": _cards,
    "tasks": _tasks,
    "keys": _keys,
    "matrix-keys": _matrix_keys,
}
