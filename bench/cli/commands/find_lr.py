"""Find a learning rate for RECIPE: let it grow batch by batch, record and draw the loss, and suggest one.

--set find_lr.start=, find_lr.end= and find_lr.steps= change the range and the number of batches.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.commands.picture import write_picture
from bench.cli.commands.run import run_seeds
from bench.cli.options import DataDir, Device, DeviceChoice, RecipeName, Results, Settings, whole
from bench.cli.picture_file import check_picture_file
from bench.cli.run_options import RunOptions
from bench.documents.limits import LARGEST_SEED
from bench.report.html.plots.rate_curves import curve_of
from bench.report.terminal.curve import draw_curve
from bench.runs.run import Run
from bench.text.console import say


def find_lr(
    recipe: RecipeName,
    console: Console,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Of weights and data.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(help="The picture's file, .png or .svg; default: pictures/RUN.png below --results."),
    ] = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> int:
    """The exit code is 1 where there is no suggestion.

    Raises what `bench run` raises, and `UsageError` for a picture that cannot be written.
    """
    if plot:
        check_picture_file(plot)
    of_run = RunOptions(
        recipe,
        settings=settings,
        seeds=1,
        first_seed=seed,
        data_dir=data,
        device=device,
        results=results,
        measure="find_lr",
        again=True,
    )
    campaign = run_seeds(of_run, console)
    run = campaign.finished[0] if campaign.finished else None
    if run is None or run.status != "ok":
        return campaign.exit_code()
    if curve_of(run) is not None:  # of more than one batch
        _print_curve(console, run)
        file = plot or results / "pictures" / f"{run.run_id}.png"
        check_picture_file(file)
        write_picture(run, file=file, title=f"{run.recipe}, seed {run.seed}")
        say(console, f"The picture is {file}.")
    return _tell_suggestion(console, run, [recipe, *_kept(settings or ())])


def _print_curve(console: Console, run: Run) -> None:
    curve = curve_of(run)
    assert curve is not None
    say(console, "The smoothed training loss against the learning rate; ┊ is the suggestion.")
    for line in draw_curve(curve["rate"], curve["smoothed"], run.metrics.get("suggested_lr")):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _kept(settings: Sequence[str]) -> list[str]:
    """The options that say the same to `bench run`, without the rate and what the search alone looks at."""
    kept = [text for text in settings if not text.startswith(("optimizer.lr=", "find_lr"))]
    return [part for text in kept for part in ("--set", text)]


def _tell_suggestion(console: Console, run: Run, subject: Sequence[str]) -> int:
    """`subject` is the recipe with its settings, as the user gave them."""
    suggested = run.metrics.get("suggested_lr")
    if suggested is None:
        say(
            console,
            "No rate can be suggested, because the loss never fell. Check the data and the network, or start lower: "
            f"--set find_lr.start={run.config['resolved']['curve']['rate'][0] / 1000:.2g}",
        )
        return 1
    say(
        console,
        f"Suggested: {suggested:.2g}, a tenth of the rate of the smallest loss ({run.metrics['best_lr']:.2g}). Try it: "
        f"bench run {shlex.join(subject)} --set optimizer.lr={suggested:.2g}",
    )
    return 0
