"""`bench show RECIPE`: what a recipe does, what it costs, and what it reached where it comes from and here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.documents import yaml_writer
from bench.errors import UsageError
from bench.execution.duration_estimate import PUBLISHED, cell_now
from bench.report.terminal.show import print_recipe
from bench.runs.run import FINISHED, Run
from bench.runs.store import Store
from bench.spec import recipe as recipes
from bench.text.console import write_out


@dataclass(frozen=True)
class ShowOptions:
    """The command line of `bench show`."""

    recipe: str
    settings: Sequence[str] = ()
    device: str = "auto"
    results: Path = Path("results")
    card: str | None = None
    resolved: bool = False


def show_recipe(options: ShowOptions, console: Console) -> int:
    """Print the recipe; returns the exit code.

    Raises `UsageError` for a recipe that does not fit and for a card that is not known, `MissingError` where there is
    no such device.
    """
    from bench.host.fingerprint import default_device
    from bench.profiling import cards

    card = cards.find(options.card) if options.card else None
    if card and options.device == "cpu":
        raise UsageError("--card is a GPU's; leave out --device cpu")
    device = "cuda" if card else default_device() if options.device == "auto" else options.device
    recipe = recipes.load(options.recipe, device, options.settings)
    if options.resolved:
        write_out(f"# {options.recipe} on {device}, with every value that is not null\n")
        write_out(yaml_writer.write(recipe.model_dump(mode="json", exclude_none=True)))
        return 0
    with console.status("counting"):
        from bench.measures.assembly import check_graph
        from bench.profiling.footprint import footprint

        check_graph(recipe, device == "cuda")
        counted = footprint(recipe, device)
        work, not_counted = None, None
        if device == "cuda":
            from bench.profiling.demand import NotCounted, demand

            try:
                work = demand(recipe)
            except NotCounted as error:
                not_counted = f"What a GPU would be asked for is not counted, and no time estimated: {error}."
    name = Path(options.recipe).stem
    _, cell = recipes.identify(recipe.config(), device, "time_to_accuracy")
    runs = _finished_runs(name, options.results)
    these = [run for run in runs if cell in (run.cell, cell_now(run))]
    others = [run for run in runs if run not in these]
    print_recipe(console, name, recipe, device, counted, these, others)
    if work is not None:
        from bench.report.terminal.gpu import print_demand

        print_demand(console, work, recipe, card)
    elif not_counted:
        console.print(not_counted, markup=False, highlight=False)
    return 0


def _finished_runs(name: str, results: Path) -> list[Run]:
    """The recipe's trainings that went to their end: this machine's, and those that come with the project."""
    files = [results / "runs" / "runs.jsonl", *sorted(PUBLISHED.glob("*.jsonl"))]
    found = {run.run_id: run for path in files for run in Store(path).read()}
    return [
        run
        for run in found.values()
        if run.recipe == name and run.measure == "time_to_accuracy" and run.status in FINISHED
    ]
