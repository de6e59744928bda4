"""List the data sets and where they were found, or prepare one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from bench.cli import completion
from bench.cli.options import DataDir
from bench.errors import MissingError, UsageError
from bench.pipelines.datasets import DATASETS, load_dataset, locate
from bench.pipelines.errors import PipelineError, WrongOption
from bench.text import units
from bench.text.console import LastingConsole


def data(
    name: Annotated[
        str | None,
        typer.Argument(help="Prepare this data set: fetch, verify, convert.", autocompletion=completion.datasets),
    ] = None,
    data: DataDir = None,
) -> None:
    list_datasets(data) if name is None else prepare(name, data)


def list_datasets(data_dir: Path | None) -> None:
    """A row for each data set: what it is, where it was found, whether it is the publisher's."""
    table = Table("data set", "images", "found", "official", "size", title="bench data NAME", title_justify="left")
    for name, info in DATASETS.items():
        try:
            where = locate(name, data_dir)
        except PipelineError as error:
            table.add_row(name, "", Text(str(error)), "", "")
            continue
        if where is None:
            found, official, size = "no", "", f"{units.size(info.download_bytes)} to fetch"
        else:
            found = f"{where.form}: {where.path}" if where.path else where.form
            official = {True: "yes", False: "no", None: "checked on loading"}[where.official]
            size = units.size(where.size_bytes) if where.size_bytes else ""
        counts = f"{info.train_count:,} + {info.test_count:,}, {'×'.join(map(str, info.image_shape))}"
        table.add_row(Text.assemble(name, "\n", (info.title, "dim")), counts, found, official, size)
    LastingConsole().print(table)


def prepare(name: str, data_dir: Path | None) -> None:
    """Fetch, verify and convert one data set, and say what came of it.

    Raises `UsageError` for an unknown name, `MissingError` if the data cannot be fetched or is damaged.
    """
    console = LastingConsole()
    started_s = time.monotonic()
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done_bytes: int, total_bytes: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done_bytes, total=total_bytes)

        try:
            data = load_dataset(name, data_dir=data_dir, progress=show)
        except WrongOption as error:
            raise UsageError(str(error)) from None
        except PipelineError as error:
            raise MissingError(str(error)) from None
    place = locate(name, data_dir)
    console.print(
        f"{name}: {len(data.train):,} train and {len(data.test):,} test images, ready in "
        f"{units.duration(time.monotonic() - started_s)}\n"
        f"  from         {place.path if place and place.path else place.form if place else '–'}\n"
        f"  official     {'your own' if data.official is None else 'yes' if data.official else 'no'}\n"
        f"  fingerprint  {data.fingerprint}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
