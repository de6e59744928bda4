"""What `bench.run`, `bench.sweep` and `bench.leaderboard` do: the commands' work, with data frames as the answer.

They can be called in a script without `if __name__ == "__main__"`, in a notebook and in a thread. What they print is
what the commands print, on standard error. Mistakes raise `bench.UsageError`, missing data or hardware
`bench.MissingError`, both with the message that the command would print; a run that fails is recorded and returned.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from bench.api.loading import load
from bench.api.mappings import as_options, has_keys_of_text
from bench.cli.commands import leaderboard as boards
from bench.cli.commands.run import run_seeds
from bench.cli.commands.sweep import run_cells
from bench.cli.executor_options import ExecutorChoice
from bench.cli.options import DeviceChoice
from bench.cli.remarks import RemarkOptions
from bench.cli.run_options import RunOptions
from bench.cli.sweep_options import OrderChoice, SweepOptions
from bench.documents.limits import LARGEST_SEED, MOST_COUNT, MOST_SECONDS, MOST_SEEDS
from bench.errors import STOPPED, UsageError
from bench.execution.runner import end_fork_server
from bench.host.fingerprint import chosen_device
from bench.report.terminal.leaderboard import CSV_COLUMNS, bare_rows
from bench.runs.frames import Frames
from bench.runs.run import Run
from bench.scores.leaderboard import Metric
from bench.spec import recipes
from bench.spec.matrix import Order
from bench.spec.recipe import Recipe
from bench.text.console import LastingConsole
from bench.text.nearest import unknown
from bench.text.undecodable import called_from_python

C = TypeVar("C", bound=StrEnum)
Device = Literal["auto", "cpu", "cuda"]
Executor = Literal["local", "ray", "slurm"]
NAMELESS = "recipe"


def run(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    settings: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    seeds: int | None = None,
    first_seed: int = 0,
    data: str | Path | None = None,
    device: Device = "auto",
    results: str | Path = "results",
    price: str | float | None = None,
    measure: str = "time_to_accuracy",
    sampling_timeout_s: float | None = None,
    keep_weights: bool = False,
    weights: str | Path | None = None,
    shared_process: bool = False,
    keep_compiled: bool = False,
    tags: Sequence[str] = (),
    note: str | None = None,
    machine_label: str | None = None,
    resume: bool = False,
    again: bool = True,
    executor: Executor = "local",
    address: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Frames:
    """Measure a recipe once for each seed, each in a process of its own, and record it, as `bench run` does.

    `recipe` is a shipped one's name, a .yaml file, the values of such a file, or a `Recipe`. `settings` change its
    values by dotted keys: `{"epochs": 1, "model.width": 16}`. `name` is what tables call a recipe that is no file.
    `seeds` is how many, from `first_seed` on; None is what the recipe says. Without `again`, or with `resume`, seeds
    that are done are not run again. `data` is the folder where data sets are looked for first, `price` dollars per hour
    or a name in `bench prices`, `weights` for the measure `inference` what a run kept, by its id, or a file. The other
    options are those of `bench run`; `quiet` prints nothing.

    Returns the runs of these seeds and their epochs, `runs, epochs = bench.run(…)`, whatever their `status`. Raises
    UsageError, MissingError, and after Ctrl-C KeyboardInterrupt, once the present run is recorded as interrupted.
    """
    began_s = time.monotonic()
    call = _call(run, locals())
    _check_whole(seeds=(seeds, 1, MOST_SEEDS), first_seed=(first_seed, 0, LARGEST_SEED))
    _check_seconds("sampling_timeout_s", sampling_timeout_s)
    with _as_guest(call):
        on = chosen_device(_choice(DeviceChoice, "device", device))
        if isinstance(recipe, str | Path):
            file = os.path.expanduser(str(recipe))
            asked, called = recipes.load(file, on, _settings(settings)), name or file
        elif isinstance(recipe, Mapping | Recipe):
            asked, called = recipes.made_of(recipe, _settings(settings)), name or NAMELESS
        else:
            raise UsageError(f"recipe is {recipe!r}: give a name, a file, the values of a recipe, or a bench.Recipe")
        options = RunOptions(
            recipe=called,
            seeds=seeds,
            first_seed=first_seed,
            data_dir=_path(data),
            device=_choice(DeviceChoice, "device", device),
            results=Path(results).expanduser(),
            price=None if price is None else str(price),
            measure=measure,
            sampling_timeout_s=sampling_timeout_s,
            keep_weights=keep_weights,
            weights=None if weights is None else os.path.expanduser(str(weights)),
            shared_process=shared_process,
            keep_compiled=keep_compiled,
            remarks=RemarkOptions([tags] if isinstance(tags, str) else list(tags), note, machine_label),
            resume=resume,
            again=again and not resume,
            executor=_choice(ExecutorChoice, "executor", executor),
            address=address,
            slurm=_slurm(slurm),
        )
        campaign = run_seeds(options, LastingConsole(stderr=True, quiet=quiet), asked, began_s)
        if campaign.exit_code() == STOPPED:
            raise KeyboardInterrupt
    return _frames(campaign.runs, results)


def sweep(
    matrix: str | Path,
    *,
    only: Mapping[str, Any] | None = None,
    rerun: str | None = None,
    resume: bool = False,
    limit: int | None = None,
    jobs: int | Literal["auto"] | None = None,
    executor: Executor = "local",
    address: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    order: Order | None = None,
    sampling_timeout_s: float | None = None,
    data: str | Path | None = None,
    device: Device = "auto",
    results: str | Path = "results",
    price: str | float | None = None,
    tags: Sequence[str] = (),
    note: str | None = None,
    machine_label: str | None = None,
    quiet: bool = False,
) -> Frames:
    """Run every cell of a matrix with every seed, and nothing that is done already, as `bench sweep` does.

    `matrix` is a shipped one's name or a .yaml file. `only` holds a value, or several in a list or tuple, for each key
    that cells are chosen by: `{"model.width": [8, 16]}`. `executor` is where the runs are carried out, with `address`
    for Ray and a mapping `slurm` for Slurm. The other options are those of `bench sweep`.

    Returns the last run of each cell and seed that has one, also of those that were done before, and their epochs.
    Raises UsageError, MissingError, and after Ctrl-C KeyboardInterrupt; the same call then goes on.
    """
    call = _call(sweep, locals())
    _check_whole(limit=(limit, 1, MOST_COUNT))
    _check_seconds("sampling_timeout_s", sampling_timeout_s)
    options = SweepOptions(
        matrix=os.path.expanduser(str(matrix)),
        only=[] if only is None else as_options("only", only, apart=True),
        rerun=rerun,
        resume=resume,
        limit=limit,
        jobs=None if jobs is None else str(jobs),
        order=_choice(OrderChoice, "order", order) if order else None,
        sampling_timeout_s=sampling_timeout_s,
        data_dir=_path(data),
        device=_choice(DeviceChoice, "device", device),
        results=Path(results).expanduser(),
        price=None if price is None else str(price),
        remarks=RemarkOptions([tags] if isinstance(tags, str) else list(tags), note, machine_label),
        executor=_choice(ExecutorChoice, "executor", executor),
        address=address,
        slurm=_slurm(slurm),
    )
    with _as_guest(call):
        try:
            code, done = run_cells(options, LastingConsole(stderr=True, quiet=quiet))
        finally:
            end_fork_server()
    if code == STOPPED:
        raise KeyboardInterrupt
    return _frames([entry.run for entry in done.entries if entry.run is not None], results)


def leaderboard(
    task: str | None = None,
    *,
    rule: str | None = None,
    metric: Metric | None = None,
    price: str | float | None = None,
    paths: Iterable[str | Path] = (),
    results: str | Path = "results",
) -> pd.DataFrame:
    """Runs and published records ranked by rule book, a row each, in the columns of `bench leaderboard --all -f csv`.

    `task` is one such as `cifar10/train`, `rule` a rule book such as `mlperf`; None is all. `metric` is what is ranked
    by: `time`, `cost`, `latency` or `energy`; None is the usual one. Values are in the unit that stands beside them.
    The runs are those in `paths`, files or folders, else those below `results`. Raises UsageError where nothing is
    ranked so, and StoreError for a path that cannot be read.
    """
    runs, records = boards.read_all([Path(path).expanduser() for path in paths], Path(results).expanduser())
    made = boards.boards(runs, records, rule, task, metric, None if price is None else str(price))
    return pd.DataFrame(bare_rows(made), columns=list(CSV_COLUMNS))


def load_recipe(name: str | Path, settings: Mapping[str, Any] | None = None, device: Device = "auto") -> Recipe:
    """A shipped recipe, or that of a .yaml file, as it is on a device, with `settings` on top. Raises UsageError."""
    on = chosen_device(_choice(DeviceChoice, "device", device))
    return recipes.load(os.path.expanduser(str(name)), on, _settings(settings))


@contextmanager
def _as_guest(call: str) -> Iterator[None]:
    """For work in somebody else's process: records name the `call`, and the environment is left as it was."""
    before = dict(os.environ)
    try:
        with called_from_python(call):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _call(function: Callable[..., Frames], given: Mapping[str, Any]) -> str:
    """The call as Python text, without what is left at its default, and what changes no run."""
    told = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = given[name]
        if name == "quiet" or value == parameter.default:
            continue
        shown = value.model_dump(mode="json", exclude_unset=True) if isinstance(value, Recipe) else value
        shown = _as_python(shown)
        told.append(f"{name}={shown}" if parameter.kind is parameter.KEYWORD_ONLY else shown)
    return f"bench.{function.__name__}({', '.join(told)})"


def _as_python(value: Any) -> str:
    """The value as Python writes it, with the quotes that a shell leaves alone within its own."""
    match value:
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case Mapping():
            return f"{{{', '.join(f'{_as_python(key)}: {_as_python(one)}' for key, one in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(_as_python, value))}]"
        case _:
            return repr(value)


def _frames(made: Iterable[Run], results: str | Path) -> Frames:
    return load(results=results, run_ids=[one.run_id for one in made])


def _slurm(settings: Mapping[str, Any] | None) -> list[str] | None:
    return None if settings is None else as_options("slurm", settings)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given).expanduser()


def _choice(kind: type[C], option: str, given: str) -> C:
    """Raises UsageError for a value that is none of the kind's."""
    if given not in (known := [one.value for one in kind]):
        raise UsageError(unknown(option, str(given), known, None))
    return kind(given)


def _settings(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Raises UsageError for what is no mapping of dotted keys."""
    if given is not None and not has_keys_of_text(given):
        raise UsageError(f'settings are {given!r}: give values by their dotted keys, as in {{"model.width": 16}}')
    return given or {}


def _check_seconds(option: str, value: float | None) -> None:
    """Raises UsageError for what is no time."""
    if value is not None and not 0 <= value <= MOST_SECONDS:
        raise UsageError(f"{option} is {value!r}: give seconds, 0 to {MOST_SECONDS:,}")


def _check_whole(**given: tuple[Any, int, int]) -> None:
    """Refuse what is no whole number between two bounds; None is what was not given. Raises UsageError."""
    for option, (value, least, most) in given.items():
        if value is not None and not (type(value) is int and least <= value <= most):
            raise UsageError(f"{option} is {value!r}: give a whole number from {least:,} to {most:,}")
