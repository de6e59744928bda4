"""`bench profile RECIPE`: where the time, the memory and the FLOPs of a training step go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.errors import MissingError
from bench.execution import scratch
from bench.measures.assembly import check_graph
from bench.measures.base import status_of
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import DATASETS, load_dataset, locate
from bench.profiling.profile import profile
from bench.profiling.trace import STEPS, check_trace_file, write_trace
from bench.profiling.workbench import Workbench, at_full_size, refusals
from bench.report.terminal.profile import print_profile
from bench.spec import recipe as recipes
from bench.spec.recipe import Recipe
from bench.text.console import say


@dataclass(frozen=True)
class ProfileOptions:
    """The command line of `bench profile`."""

    recipe: str
    settings: Sequence[str] = ()
    batch_size: int | None = None
    depth: int | None = None
    trace: Path | None = None
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")


def profile_recipe(options: ProfileOptions, console: Console) -> int:
    """Measure and print the table, and write the trace where one is asked for; returns the exit code.

    Nothing is recorded and nothing downloaded. Raises `UsageError` for a recipe that does not fit or a trace that
    cannot be written, `MissingError` for missing hardware.
    """
    from bench.host.fingerprint import default_device

    if options.trace:
        check_trace_file(options.trace)
    device = default_device() if options.device == "auto" else options.device
    batch_size = [] if options.batch_size is None else [f"batch_size={options.batch_size}"]
    recipe = recipes.load(options.recipe, device, [*options.settings, *batch_size])
    scratch.for_sockets()  # for the processes of a loader
    check_graph(recipe, device == "cuda")
    with refusals(), ExitStack() as open_loaders:
        data = _data(recipe, options.data_dir, console)
        workbench = Workbench(at_full_size(recipe), device, data)
        cache = options.results / "cache"
        train, test = (open_loaders.enter_context(workbench.loader(split, cache)) for split in ("train", "test"))
        try:
            with console.status("profiling"):
                found = profile(workbench, train, test, options.depth)
        except Exception as error:
            if status_of(error)[0] != "oom":
                raise
            raise MissingError(
                f"out of memory: the inputs of every stage are kept, about twice what a step of {train.batch_size} "
                f"images needs; give a smaller --batch-size"
            ) from None
        print_profile(console, Path(options.recipe).stem, recipe, found)
        if options.trace:
            write_trace(workbench.trainer(train), train, options.trace, options.depth)
            said = f"{STEPS} steps are traced in {options.trace}; ui.perfetto.dev and chrome://tracing open it."
            say(console, said)
    return 0


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
