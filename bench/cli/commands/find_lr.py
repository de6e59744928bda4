"""`bench find-lr RECIPE`: the loss while the learning rate grows, as a record, in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.cli.commands.picture import check_picture_file, write_picture
from bench.cli.commands.run import RunOptions, run_seeds
from bench.report.html.plots.rate_curves import curve_of
from bench.report.terminal.curve import draw_curve
from bench.runs.run import Run
from bench.text.console import say


@dataclass(frozen=True)
class FindLrOptions:
    """The command line of `bench find-lr`."""

    recipe: str
    settings: Sequence[str] = ()
    seed: int = 0
    plot: Path | None = None
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")


def find_lr(options: FindLrOptions, console: Console) -> int:
    """Search, print the curve and the suggestion, and write the picture; returns the exit code: 1 without a suggestion.

    Raises what `bench run` raises, and `UsageError` for a picture that cannot be written.
    """
    if options.plot:
        check_picture_file(options.plot)
    of_run = RunOptions(
        options.recipe,
        options.settings,
        seeds=1,
        first_seed=options.seed,
        data_dir=options.data_dir,
        device=options.device,
        results=options.results,
        measure="find_lr",
    )
    campaign = run_seeds(of_run, console)
    run = campaign.finished[0] if campaign.finished else None
    if run is None or curve_of(run) is None:
        return campaign.exit_code()
    _print_curve(console, run)
    file = options.plot or options.results / "pictures" / f"{run.run_id}.png"
    write_picture(run, file=file, title=f"{run.recipe}, seed {run.seed}")
    say(console, f"The picture is {file}.")
    return _tell_suggestion(console, run)


def _print_curve(console: Console, run: Run) -> None:
    curve = curve_of(run)
    assert curve is not None
    say(console, "The smoothed training loss against the learning rate; ┊ is the suggestion.")
    for line in draw_curve(curve["rate"], curve["smoothed"], run.metrics.get("suggested_lr")):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _tell_suggestion(console: Console, run: Run) -> int:
    suggested = run.metrics.get("suggested_lr")
    if suggested is None:
        say(console, "There is no rate to suggest: the loss fell at none. Look at the data and the network.")
        return 1
    say(
        console,
        f"Suggested: {suggested:.2g}, a tenth of the rate of the smallest loss ({run.metrics['best_lr']:.2g}). Try it: "
        f"bench run {run.recipe} --set optimizer.lr={suggested:.2g}",
    )
    return 0
