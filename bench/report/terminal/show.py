"""A recipe on one screen: its ingredients, its counted sizes, and published and own results."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.host.fingerprint import native_precision
from bench.pipelines.datasets import describe
from bench.registry.reference import label
from bench.report.terminal.summary import summarise
from bench.runs.run import Run
from bench.spec import kept_nets
from bench.spec.own import labelled
from bench.spec.published import Published
from bench.spec.recipe import Recipe
from bench.text import units
from bench.text.console import say

if TYPE_CHECKING:
    from bench.profiling.footprint import Footprint

MOST_GROUPS = 5
THESE = "these"
# Keys shown elsewhere on the screen.
_ELSEWHERE = ("data", "seeds", "target_accuracy", "target_loss", "target_quality", "summary", "source", "published")


def print_recipe(
    console: Console,
    name: str,
    recipe: Recipe,
    device: str,
    counted: Footprint,
    these: Sequence[Run],
    others: Sequence[Run],
) -> None:
    """Print everything; `these` are finished trainings with the same settings, `others` with different ones."""
    _print_words(console, name, recipe)
    print_rows(console, ingredients(recipe, counted.precision))
    print_rows(console, sizes(recipe, device, counted))
    print_not_counted(console, recipe)
    if missing := kept_nets.lack(recipe):
        say(console, f"Not to be run yet: {missing}")
    if recipe.published:
        console.print("Published:", style="bold")
        console.print(published_table(recipe.published))
    if these or others:
        console.print("Here, and what comes with the project:", style="bold")
        console.print(runs_table(these, others))
    else:
        console.print(f"No finished run of it is known here yet: bench run {name}", markup=False, highlight=False)


def print_not_counted(console: Console, recipe: Recipe) -> None:
    """Print what counts of operations and profiles leave out."""
    for key, ingredient in recipe.ingredients.items():
        if ingredient.not_counted:
            say(console, f"Not counted, {key}: {ingredient.not_counted}.")


def print_measured(console: Console, name: str, recipe: Recipe, measure: str) -> None:
    """Print what a recipe says that trains nothing and is for `measure` alone."""
    _print_words(console, name, recipe)
    print_rows(console, [(measure, words(getattr(recipe, measure).model_dump(mode="json"), zeros=True))])
    console.print(f"It trains nothing: bench run {name} --measure {measure}", markup=False, highlight=False)


def print_task(console: Console, name: str, recipe: Recipe, device: str, runs: Sequence[Run]) -> None:
    """Print a recipe with a task, whose costs are not counted; `runs` are its finished trainings."""
    _print_words(console, name, recipe)
    print_rows(console, ingredients(recipe, native_precision(device)))
    for run in runs[-MOST_GROUPS:]:
        quality = units.get(run.config, "resolved", "quality", "name")
        found = units.number(run.metrics.get(quality))
        say(console, f"{run.run_id}: {quality} {found} after {units.duration(run.metrics.get('train_s'))}")
    if missing := kept_nets.lack(recipe):
        say(console, f"Not to be run yet: {missing}")
    elif not runs:
        say(console, f"No finished run of it is known here yet: bench run {name}")


def _print_words(console: Console, name: str, recipe: Recipe) -> None:
    console.print(Text.assemble((name, "bold"), f": {recipe.summary}"))
    if recipe.source:
        console.print(f"Source: {recipe.source}", markup=False, highlight=False)


def ingredients(recipe: Recipe, precision: str) -> list[tuple[str, str]]:
    """Every resolved value that is not off, a line for each key; `auto` is resolved to `precision`."""
    info = describe(recipe.data.name, recipe.data.options)
    counts = f"{info.train_count:,} + {info.test_count:,} images of {'×'.join(map(str, info.image_shape))}"
    rows = [("data", f"{label(recipe.data.name)}: {words(recipe.data.options) or counts}")]
    values = labelled(recipe.model_dump(mode="json", exclude={*_ELSEWHERE}))
    if recipe.precision == "auto":
        values["precision"] = f"{precision} (auto)"
    for key, value in values.items():
        groups = value.pop("groups", {}) if key == "optimizer" else {}
        # If null means on, off is worth showing.
        off = "off" if value is False and Recipe.model_fields[key].default is None else ""
        if said := words(value) or off:
            rows.append((key, said))
        rows += [(f"  {role}", words(group)) for role, group in groups.items()]
    target = units.percent(recipe.target_accuracy) if recipe.target_accuracy is not None else "none"
    if recipe.target_loss is not None:
        target = f"a training loss of {recipe.target_loss:g}"
    if recipe.target_quality is not None:
        target = f"a quality of {recipe.target_quality:g}"
    rows.append(("target", f"{target}, {recipe.seeds} seed{'s' if recipe.seeds > 1 else ''}"))
    return rows


def words(value: Any, zeros: bool = False) -> str:
    """A config value as one line, without nulls and empty values, and without `zeros` also without false and zero.

    Zeros are kept in values that have a name, such as a schedule, where they are a choice like any other.
    """
    if isinstance(value, Mapping):
        name, zeros = value.get("name") or "", "name" in value
        parts = [(key, words(item, zeros), isinstance(item, Mapping)) for key, item in value.items() if key != "name"]
        said = ", ".join(f"{key} ({item})" if nested else f"{key} {item}" for key, item, nested in parts if item)
        return ", ".join(part for part in (name, said) if part)
    if isinstance(value, list) and value:
        return "[" + ", ".join(words(item) or str(item) for item in value) + "]"
    if isinstance(value, bool):
        return "on" if value else "off" if zeros else ""
    if not value:
        return "0" if zeros and value == 0 else ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sizes(recipe: Recipe, device: str, counted: Footprint) -> list[tuple[str, str]]:
    """Parameters, FLOPs and memory, one line each, with how each was determined."""
    frozen = counted.parameters - counted.trainable
    parts = {
        "activations": counted.activation_bytes,
        "weights": counted.weight_bytes,
        "gradients": counted.gradient_bytes,
        "optimiser": counted.optimizer_bytes,
        "averages": counted.average_bytes,
        "batch": counted.batch_bytes,
    }
    listed = ", ".join(f"{name} {units.size(size)}" for name, size in parts.items() if size)
    images = recipe.of_one_device(recipe.batch_size) * recipe.device_count
    run = f"{units.count(counted.training_flops)}FLOP in {counted.steps:,} steps of {images:,} images"
    if recipe.image_sizes or recipe.batch_sizes:
        run += ", if all were of the full size: an upper bound"
    per_example = (
        f"forward {units.count(counted.forward_flops_per_example)}, "
        f"training {units.count(counted.training_flops_per_example)} (forward and backward)"
    )
    if counted.optimizer_flops_per_step:
        per_example += f"; and {units.count(counted.optimizer_flops_per_step)} a step for the optimiser"
    return [
        ("parameters", f"{units.count(counted.parameters)}{f', {frozen:,} of them frozen' if frozen else ''}"),
        ("FLOP/example", per_example),
        ("whole run", run),
        (
            f"memory of {counted.batch_size:,}",
            f"{units.size(counted.total_bytes)}: {listed}. Counted, not a measured peak: in {counted.precision} on "
            f"{_where(device, counted)}, scaled up from steps of a few images",
        ),
        ("operations", operations(device, counted)),
    ]


def _where(device: str, counted: Footprint) -> str:
    if counted.counted_on != device:
        return "the CPU, in place of a GPU that is not here"
    return "CUDA" if device == "cuda" else "the CPU"


def operations(device: str, counted: Footprint) -> str:
    """The operations that eager torch dispatches in a step and, on a GPU, those for which the host would wait."""
    said = f"{counted.step_operations} a step"
    if counted.loader_operations is not None:
        said += f", and {counted.loader_operations} to make its batch"
    said += ", as eager torch dispatches them, before compilation"
    if device != "cuda":
        return said
    waits = ", ".join(f"{name} {count}" for name, count in counted.waits.items())
    return f"{said}; {f'the host waits for the GPU ({waits})' if waits else 'none makes the host wait for the GPU'}"


def published_table(facts: Sequence[Published]) -> Table:
    """The source's measurements; cells are empty if it does not say."""
    table = _table("hardware", "time", "accuracy", "epochs", "n", "cost", "what the time holds")
    for fact in facts:
        table.add_row(
            fact.hardware,
            _with_margin(fact.time_s, fact.time_margin_s, units.duration),
            _with_margin(fact.accuracy, fact.accuracy_margin, units.percent),
            f"{fact.epochs:g}" if fact.epochs else units.MISSING,
            str(fact.n or units.MISSING),
            units.dollars(fact.cost_usd),
            "; ".join(part for part in (fact.clock or "not said", fact.note) if part),
        )
    return table


def _with_margin(value: float | None, margin: float | None, show: Callable[[float | None], str]) -> str:
    return show(value) if margin is None else f"{show(value)} ± {show(margin)}"


def runs_table(these: Sequence[Run], others: Sequence[Run]) -> Table:
    """Runs grouped by settings and machine, the same settings first, then the fastest; means with 95 % intervals."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in these:
        groups[THESE, machine_of(run)].append(run)
    for run in others:
        groups[run.cell, machine_of(run)].append(run)
    ranked = sorted(groups.items(), key=lambda item: (item[0][0] != THESE, _mean(item[1], "train_s")))
    table = _table("settings", "machine", "n", "accuracy", "training", "in all", "peak memory")
    for (cell, machine), members in ranked[:MOST_GROUPS]:
        peak = "peak_device_bytes" if members[0].config.get("device") == "cuda" else "peak_host_bytes"
        table.add_row(
            cell if cell == THESE else f"others ({cell[:8]})",
            machine,
            str(len(members)),
            summarise(_metric(members, "accuracy"), units.percent, members),
            summarise(_metric(members, "train_s"), units.duration, members),
            summarise(_metric(members, "total_s"), units.duration, members),
            summarise(_metric(members, peak), units.size, members),
        )
    if len(ranked) > MOST_GROUPS:
        table.caption = f"and {len(ranked) - MOST_GROUPS} more groups of settings and machine"
    return table


def machine_of(run: Run) -> str:
    """The GPU if the run used one, else the CPU and its cores."""
    gpus = run.machine.get("gpus") or []
    if run.config.get("device") == "cuda" and gpus:
        first = gpus[0]
        return str(first.get("name", "GPU")) if isinstance(first, Mapping) else str(first)
    return f"{run.machine.get('cpu_model', 'CPU')}, {run.machine.get('usable_cores', '?')} cores"


def _metric(runs: Sequence[Run], name: str) -> list[float | None]:
    return [run.metrics.get(name) for run in runs]


def _mean(runs: Sequence[Run], name: str) -> float:
    known = [value for value in _metric(runs, name) if value is not None]
    return fmean(known) if known else math.inf


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Labels and values, a line each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)
    console.print()
