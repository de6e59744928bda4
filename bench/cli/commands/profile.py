"""Show where a training step of RECIPE spends its time, memory and FLOPs, stage by stage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import DataDir, Device, DeviceChoice, RecipeName, Results, Settings, whole
from bench.documents.limits import MOST_COUNT
from bench.errors import MissingError
from bench.execution import scratch
from bench.host.fingerprint import chosen_device
from bench.measures.assembly import check_device
from bench.measures.base import status_of
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import DATASETS, load_dataset, locate
from bench.profiling.profile import profile as profiled
from bench.profiling.trace import STEPS, check_trace_file, write_trace
from bench.profiling.workbench import Workbench, at_full_size, refusals
from bench.report.terminal.profile import print_profile
from bench.report.terminal.show import print_not_counted
from bench.spec import recipes
from bench.spec.recipe import Recipe
from bench.text.console import LastingConsole, say


def profile(
    recipe: RecipeName,
    settings: Settings = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1, MOST_COUNT), help="Instead of the recipe's.")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0, MOST_COUNT),
            help="Levels of modules to open; default: as many as fit on a screen.",
        ),
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Also write a Chrome trace here (.json or .json.gz).")] = None,
    data: DataDir = None,
    device: Device = DeviceChoice.auto,
    results: Results = Path("results"),
) -> None:
    """Nothing is recorded and nothing downloaded.

    Raises `UsageError` for a recipe that does not fit or a trace that cannot be written, `MissingError` for missing
    hardware.
    """
    if trace:
        check_trace_file(trace)
    console, on = LastingConsole(), chosen_device(device)
    changed = [] if batch_size is None else [f"batch_size={batch_size}"]
    asked = recipes.load(recipe, on, [*(settings or ()), *changed])
    scratch.for_sockets()  # for the processes of a loader
    check_device(asked, on)
    recipes.check_measure(asked, "time_to_accuracy")
    with refusals(), ExitStack() as open_loaders:
        workbench = Workbench(at_full_size(asked), on, _data(asked, data, console))
        cache = results / "cache"
        train, test = (open_loaders.enter_context(workbench.loader(split, cache)) for split in ("train", "test"))
        try:
            with console.status("profiling"):
                found = profiled(workbench, train, test, depth)
        except Exception as error:
            if status_of(error)[0] != "oom":
                raise
            raise MissingError(
                f"out of memory: the inputs of every stage are kept, about twice what a step of {train.batch_size} "
                f"images needs; give a smaller --batch-size"
            ) from None
        print_profile(console, Path(recipe).stem, asked, found)
        print_not_counted(console, asked)
        if trace:
            write_trace(workbench.trainer(train), train, trace, depth)
            say(console, f"{STEPS} steps are traced in {trace}; ui.perfetto.dev and chrome://tracing open it.")


def _data(recipe: Recipe, data_dir: Path | None, console: Console) -> Dataset:
    """The recipe's data, or, where it is not on this machine, noise of its shapes, which takes as long."""
    name, options = recipe.data.name, recipe.data.options
    if locate(name, data_dir) is not None:
        return load_dataset(name, data_dir=data_dir, options=options)
    info = DATASETS[name]
    console.print(f"{name} is not on this machine; this is profiled on noise of its shapes.", highlight=False)
    options = {
        "shape": list(info.image_shape),
        "classes": info.classes,
        "train_count": info.train_count,
        "test_count": info.test_count,
    }
    return load_dataset("random", options=options)
