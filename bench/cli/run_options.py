"""The options of `bench run`, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli.executor_options import Address, ExecutorChoice, SlurmSettings, Where
from bench.cli.host_options import HostOptions
from bench.cli.options import (
    DataDir,
    Device,
    DeviceChoice,
    Price,
    RecipeName,
    Results,
    SamplingTimeout,
    Settings,
    whole,
)
from bench.cli.remarks import RemarkOptions
from bench.documents.limits import LARGEST_SEED, MOST_SEEDS
from bench.errors import UsageError
from bench.spec.measures import MEASURES, SHARE_A_PROCESS
from bench.spec.recipe import Recipe


@dataclass(frozen=True)
class RunOptions:
    """The options of `bench run`."""

    recipe: RecipeName
    settings: Settings = None
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1, MOST_SEEDS), help="Runs, with seeds 0, 1, …; default: the recipe's."),
    ] = None
    first_seed: Annotated[
        int, typer.Option(metavar="SEED", parser=whole(0, LARGEST_SEED), help="Start at this seed.")
    ] = 0
    data_dir: DataDir = None
    device: Device = DeviceChoice.auto
    results: Results = Path("results")
    price: Price = None
    measure: Annotated[
        str, typer.Option(help=f"One of {', '.join(MEASURES)}, or yours.", autocompletion=completion.measures)
    ] = "time_to_accuracy"
    sampling_timeout_s: SamplingTimeout = None
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the final weights in runs/weights/ below --results.")
    ] = False
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE", help="For --measure inference: the weights that a run kept, by its id, or a file."
        ),
    ] = None
    shared_process: Annotated[
        bool,
        typer.Option(
            "--shared-process",
            help="Train all seeds in one process, which loads, builds and compiles once; the records say so.",
        ),
    ] = False
    keep_compiled: Annotated[
        bool,
        typer.Option(
            "--keep-compiled",
            help="Take compiled programs from earlier runs with this option, and keep them for later ones, in the "
            "user's cache; the records say so.",
        ),
    ] = False
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the checkpoints of interrupted runs; for recipes with `checkpoint`."),
    ] = False
    again: Annotated[bool, typer.Option("--again", help="With --seeds: also run seeds that are done already.")] = False
    remarks: RemarkOptions = field(default_factory=RemarkOptions)
    hosts: HostOptions = field(default_factory=HostOptions)
    executor: Where = ExecutorChoice.local
    address: Address = None
    slurm: SlurmSettings = None


def check(options: RunOptions, recipe: Recipe) -> None:
    """Raise `UsageError` for options that do not go together, or not with the recipe."""
    _check_weights(options)
    _check_seeds(options, recipe)
    _check_shared_process(options, recipe)
    _check_executor(options)
    if options.resume:
        _check_resume(options, recipe)


def _check_weights(options: RunOptions) -> None:
    if options.keep_weights and options.measure != "time_to_accuracy":
        raise UsageError(f"--keep-weights: {options.measure} trains nothing; leave out --measure to train")
    if options.weights is not None and options.measure != "inference":
        raise UsageError(f"--weights: {options.measure} takes none; add --measure inference")


def _check_shared_process(options: RunOptions, recipe: Recipe) -> None:
    if options.shared_process and options.measure not in SHARE_A_PROCESS:
        raise UsageError(
            f"--shared-process: only {' and '.join(SHARE_A_PROCESS)} can begin anew in the same process; "
            f"leave it out with --measure {options.measure}"
        )
    if options.shared_process and recipe.checkpoint is not None:
        raise UsageError("--shared-process: a run with checkpoints needs a process of its own; leave out one of them")
    if options.shared_process and recipe.device_count > 1:
        raise UsageError(
            f"--shared-process: each of {recipe.device_count} devices has a process of its own for one seed alone; "
            "leave it out, or set devices to 1"
        )


def _check_executor(options: RunOptions) -> None:
    only_here = {
        "--shared-process": options.shared_process,
        "--keep-weights": options.keep_weights,
        "--weights": options.weights is not None,
        "--keep-compiled": options.keep_compiled,
        "--resume": options.resume,
    }
    if options.executor != ExecutorChoice.local and any(only_here.values()):
        name = next(name for name, given in only_here.items() if given)
        raise UsageError(f"{name}: this is for runs on this machine; leave it out, or use --executor local")


def _check_seeds(options: RunOptions, recipe: Recipe) -> None:
    last = options.first_seed + (options.seeds or recipe.seeds) - 1
    if last > LARGEST_SEED:
        raise UsageError(f"--first-seed {options.first_seed}: the last seed would be {last}; at most {LARGEST_SEED}")


def _check_resume(options: RunOptions, recipe: Recipe) -> None:
    if recipe.checkpoint is None:
        raise UsageError(
            "--resume: this recipe writes no checkpoints, so nothing can be continued; add --set "
            "'checkpoint={every_epochs: 1}' to the run that may be interrupted, and to this command"
        )
    if options.measure != "time_to_accuracy":
        raise UsageError(f"--resume: {options.measure} writes no checkpoints; leave out --measure, or --resume")
    if options.again:
        raise UsageError("--resume and --again: one goes on, the other begins anew; leave one out")
