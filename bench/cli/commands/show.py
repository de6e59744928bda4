"""Say what RECIPE does: its source, ingredients, size, FLOPs and memory, and what it reached elsewhere and here.

With --device cuda also what a step asks of a GPU: operations, launches, waits and bytes, counted without one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli.options import Device, DeviceChoice, RecipeName, Results, Settings
from bench.documents import yaml_writer
from bench.errors import UsageError
from bench.execution.duration_estimate import PUBLISHED, cell_now
from bench.host.fingerprint import chosen_device
from bench.measures.assembly import check_device
from bench.profiling import cards
from bench.profiling.demand import NotCounted, demand
from bench.profiling.footprint import footprint
from bench.report.terminal.gpu import print_demand
from bench.report.terminal.script import print_script
from bench.report.terminal.show import print_measured, print_recipe, print_task
from bench.runs.run import FINISHED, Run
from bench.runs.store import Store
from bench.spec import kept_nets, recipes
from bench.text.console import LastingConsole, say, write_out


def show(
    recipe: RecipeName,
    settings: Settings = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
    card: Annotated[
        str | None,
        typer.Option(
            help="Estimate a run on this GPU by its data sheet: h200, h100, a100, v100, rtx4090, … No GPU needed.",
            autocompletion=completion.cards,
        ),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print every value as YAML, which loads to the same recipe, and stop.")
    ] = False,
) -> None:
    """Raises `UsageError` for a card that is not known, and where --device contradicts it."""
    kept_nets.RESULTS.set(results)
    if scripts := _runs_of_script(recipe, results):
        print_script(LastingConsole(), recipe, scripts)
        return
    sheet = cards.find(card) if card else None
    if sheet and device == "cpu":
        raise UsageError("--card is a GPU's; leave out --device cpu")
    console, name = LastingConsole(), Path(recipe).stem
    on = "cuda" if sheet else chosen_device(device)
    asked = recipes.load(recipe, on, settings or ())
    if resolved:
        write_out(f"# {recipe} on {on}, with every value that is not null\n")
        write_out(yaml_writer.write(asked.model_dump(mode="json", exclude_none=True)))
        return
    if asked.only_measure:
        print_measured(console, name, asked, asked.only_measure)
        return
    if asked.task is not None:
        print_task(console, name, asked, on, _finished_runs(name, results))
        return
    work, not_counted = None, None
    with console.status("counting"):
        check_device(asked, on)
        counted = footprint(asked, on)
        if on == "cuda":
            try:
                work = demand(asked)
            except NotCounted as error:
                not_counted = f"What a GPU would be asked for is not counted, and no time estimated: {error}."
    _, cell = recipes.identify(asked.config(), on, "time_to_accuracy")
    runs = _finished_runs(name, results)
    these = [run for run in runs if cell in (run.cell, cell_now(run))]
    others = [run for run in runs if run not in these]
    print_recipe(console, name, asked, on, counted, these, others)
    if work is not None:
        print_demand(console, work, asked, sheet)
    elif not_counted:
        say(console, not_counted)


def _runs_of_script(name: str, results: Path) -> list[Run]:
    """The runs of a script of this name that were timed here; none for a recipe's name."""
    if name in recipes.names() or Path(name).suffix in (".yaml", ".yml"):
        return []
    runs = Store(results / "runs" / "runs.jsonl").read()
    return [run for run in runs if run.is_script and run.recipe == name]


def _finished_runs(name: str, results: Path) -> list[Run]:
    """The recipe's trainings that went to their end: this machine's, and those that come with the project."""
    files = [results / "runs" / "runs.jsonl", *sorted(PUBLISHED.glob("*.jsonl"))]
    found = {run.run_id: run for path in files for run in Store(path).read()}
    return [
        run
        for run in found.values()
        if run.recipe == name and run.measure == "time_to_accuracy" and run.status in FINISHED
    ]
