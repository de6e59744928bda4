"""List the names that recipes and options may use: bench's own, and those of installed packages."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bench.errors import UsageError
from bench.models import MODELS
from bench.pipelines.augmentations import AUGMENTATIONS
from bench.pipelines.datasets import DATASETS
from bench.pipelines.loaders import LOADERS
from bench.registry.registry import Registry
from bench.spec.measures import MEASURES
from bench.text.console import LastingConsole, say
from bench.text.nearest import did_you_mean
from bench.training.registries import OPTIMIZERS, SCHEDULES

YOURS = "Yours is named path/to/file.py:Name or package.module:Name; docs/your_network.md shows how."


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="models, datasets, loaders, measures, rules, optimizers, schedules or augmentations; default: all.",
        ),
    ] = None,
) -> None:
    """Print the names of a kind, or of all kinds. Raises `UsageError` for a kind that there is not."""
    from bench.scores.rules import BOOKS

    every = (MODELS, DATASETS, LOADERS, MEASURES, BOOKS, OPTIMIZERS, SCHEDULES, AUGMENTATIONS)
    registries = {registry.group: registry for registry in every}
    if kind is not None and kind not in registries:
        near, kinds = did_you_mean(kind, registries), ", ".join(registries)
        raise UsageError(f"there is no list of {kind[:80]!r}{near}; there are: {kinds}")
    console = LastingConsole()
    for registry in registries.values() if kind is None else [registries[kind]]:
        console.print(_table(registry))
    say(console, YOURS)


def _table(registry: Registry[Any]) -> Table:
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
