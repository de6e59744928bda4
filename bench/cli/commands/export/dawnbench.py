"""Write a DAWNBench CIFAR10 entry of each RUN: JSON, and a TSV file of its epochs for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.exporting import Runs, each, file_name, writing
from bench.cli.options import Results
from bench.exchange.dawnbench import path_of, read, write
from bench.exchange.entry import Entry
from bench.exchange.from_runs import Submitter, entry_of, remarks, stem
from bench.exchange.to_runs import entry_back
from bench.runs.labels import is_imported
from bench.runs.lookup import find_runs
from bench.runs.run import Run
from bench.text.console import LastingConsole, say


def dawnbench(
    runs: Runs,
    author: Annotated[str | None, typer.Option(help="Who submits the entry.")] = None,
    email: Annotated[str | None, typer.Option(help="Where to reach them.")] = None,
    hardware: Annotated[str | None, typer.Option(help="Instead of the machine's own description.")] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the model's name.")] = None,
    framework: Annotated[str | None, typer.Option(help="Instead of PyTorch and its version.")] = None,
    code_url: Annotated[str | None, typer.Option(help="Where the code can be had.")] = None,
    out: Annotated[Path, typer.Option(help="Entries go to CIFAR10/train and CIFAR10/inference below.")] = Path("."),
    results: Results = Path("results"),
) -> None:
    """Raises `UsageError` where no run makes an entry."""
    console = LastingConsole()
    submitter = Submitter(
        author=author, email=email, hardware=hardware, model=model, framework=framework, code_url=code_url
    )

    def entry_for(run: Run) -> Entry:
        return entry_back(run) if is_imported(run) else entry_of(run, submitter)

    for run, entry in each(find_runs(runs, results), entry_for, console):
        name = file_name(run.recipe) if is_imported(run) else stem(entry)
        path = path_of(entry, out, name)
        with writing(path):
            if path.exists() and read(path).entry != entry:
                # Another run of the same network on the same machine is there.
                path = path.with_name(f"{name}_{file_name(run.run_id[-8:])}.json")
            files = write(entry, path)
        for file in files:
            say(console, f"{file}")
        for note in [] if is_imported(run) else remarks(run):
            say(console, f"  note: {note}")
