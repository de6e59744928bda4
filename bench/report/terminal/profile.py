"""The table of `bench profile`: a row for each stage, then the parts between and around them, up to the whole step."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from bench.profiling.profile import Profile
from bench.profiling.stage_figures import StageFigures
from bench.profiling.step import BACKWARD, FORWARD, PARTS
from bench.registry.reference import label
from bench.spec.recipe import Recipe
from bench.text import units
from bench.text.console import say

RANKED = 3
LEAST_WIDTH = 127
# Of the places where time is lost, those that are listed.
MOST_LOSSES = 8


def print_profile(console: Console, name: str, recipe: Recipe, profile: Profile) -> None:
    """Print the table, and below it the slowest stages, the peak and notes on the columns."""
    console.print(
        f"{name}: {label(recipe.model.name)} on {label(recipe.data.name)}, {profile.precision}, "
        f"{recipe.memory_format}, batch {profile.batch_size}",
        style="bold",
        highlight=False,
        soft_wrap=True,
    )
    width = console.width
    console.width = max(width, LEAST_WIDTH)  # never cropped: a narrower terminal wraps the lines
    console.print(table(profile))
    console.print(kinds_table(profile))
    console.width = width
    for line in [*lost_lines(profile), *remarks(recipe, profile)]:
        say(console, line)


def table(profile: Profile) -> Table:
    """The table. Times are for one batch, FLOPs for one example's forward pass, shares relative to the measured
    step."""
    step_s = profile.total_s
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    result.add_column("stage", no_wrap=True)
    result.add_column("what", overflow="fold")
    for column in (
        "output",
        "params",
        "FLOP",
        "forward",
        "backward",
        "of step",
        "kept",
        "FLOP/s",
        "of peak",
        "reached",
    ):
        result.add_column(column, justify="right", no_wrap=True)

    def row(stage: StageFigures, style: str = "") -> None:
        flops_per_s = stage.flops_per_s
        result.add_row(
            stage.name,
            stage.kind,
            "×".join(map(str, stage.output_shape[1:])),
            units.count(stage.parameters) if stage.parameters else "",
            units.count(stage.forward_flops / profile.batch_size) if stage.forward_flops else "",
            _signed(stage.forward_s),
            _signed(stage.backward_s),
            _share(stage.total_s / step_s),
            units.size(stage.kept_bytes) if stage.kept_bytes else "",
            units.count(flops_per_s) if flops_per_s else "",
            _share(flops_per_s / profile.peak.per_s) if flops_per_s else "",
            _share(stage.least_s / stage.total_s) if stage.least_s > 0 and stage.total_s > 0 else "",
            style=style,
        )

    def part(name: str, seconds: float) -> None:
        result.add_row(name, "", "", "", "", _signed(seconds), "", _share(seconds / step_s))

    for stage in profile.stages:
        row(stage)
    row(profile.between, "dim")
    result.add_section()
    row(profile.net, "bold")
    result.add_section()
    for name in PARTS:
        if name not in (FORWARD, BACKWARD):
            part(name, profile.step_s.get(name, 0.0))
    part("step", step_s)
    if profile.evaluation_s is not None:
        result.add_section()
        part("evaluation, on top", profile.evaluation_s)
    return result


def kinds_table(profile: Profile) -> Table:
    """A row for each kind of operation in a step: torch's own seconds of it, and what of this machine it reaches."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    result.add_column("operations", no_wrap=True)
    for column in ("number", "time", "at the limit", "reached"):
        result.add_column(column, justify="right", no_wrap=True)
    for one in profile.kinds:
        result.add_row(
            one.kind,
            str(one.number) if one.number else "",
            units.duration(one.spent_s),
            units.duration(one.least_s) if one.least_s else "",
            _share(one.least_s / one.spent_s) if one.least_s and one.spent_s else "",
        )
    return result


def lost_lines(profile: Profile) -> list[str]:
    """Where the time beyond this machine's limits is, the most first, and what the limits are."""
    if profile.limits is None or not profile.losses:
        return []
    step_s, shown = profile.total_s, profile.losses[:MOST_LOSSES]
    lines = [f"Lost, of a step of {units.duration(step_s)}, beyond what this machine can do:"]
    for loss in shown:
        where = f"{loss.name}, {loss.part}" if loss.part else loss.name
        lines.append(
            f"  {where}: {units.duration(loss.lost_s)} ({_share(loss.lost_s / step_s)}), reaches {_share(loss.reached)}"
        )
    rates = sorted(rate.per_s for rate in profile.limits.products.values())
    products = (
        f"plain matrix products of the {len(rates)} sizes that occur do {units.count(rates[0])}FLOP/s to "
        f"{units.count(rates[-1])}FLOP/s"
        if rates
        else "there are no matrix products"
    )
    lines.append(
        "Reached is a share of a stage's time: the least time that its operations could take on this machine, divided "
        "by the time that they took. Measured in this run: "
        f"{products}; a memory copy moves {units.size(profile.limits.copy.per_s)}/s. What lies in a "
        "cache is faster than memory."
    )
    return lines


def remarks(recipe: Recipe, profile: Profile) -> list[str]:
    """Notes on the table, one line each."""
    step_s, net, peak = profile.total_s, profile.net, profile.peak
    slowest = ", ".join(f"{one.name} {_share(one.total_s / step_s)}" for one in profile.ranked[:RANKED])
    alone_s = sum(one.total_s for one in profile.stages)
    interval = peak.interval_per_s
    between = f" (95 % {units.count(interval[0])} to {units.count(interval[1])})" if interval else ""
    lines = [
        f"Slowest: {slowest}.",
        f"The stages, each timed alone, take {units.duration(alone_s)}; the network in the step takes "
        f"{units.duration(net.total_s)}, of which the loss's backward pass is a part: a ratio of "
        f"{alone_s / net.total_s:.2f}.",
        f"Peak: a large matrix product in this precision does {units.count(peak.per_s)}FLOP/s{between}, n = {peak.n}; "
        f"the network reaches {_share((net.flops_per_s or 0) / peak.per_s)} of it.",
        f"FLOP: forward, one example. FLOP/s: forward and backward, {profile.batch_size} examples. Kept: bytes saved "
        "for the backward pass. Times: means of the middle half of "
        f"n = {profile.step.n} steps, {min((one.n for one in profile.stages), default=0)} of each stage.",
    ]
    notes = profile.step.notes()
    lines += [f"The step: {'; '.join(notes)}."] if notes else []
    if profile.step.unmet:
        lines.append("A smaller --batch-size gives more samples in the time.")
    if profile.evaluation_s is not None:
        lines.append("Evaluation: one pass over the test set between epochs, spread over the steps of an epoch.")
    if recipe.image_sizes or recipe.batch_sizes or recipe.accumulate:
        lines.append("This is a step with images of full size and a whole batch; the recipe also has smaller ones.")
    if recipe.compile:
        lines.append("torch.compile is on in the recipe and off here: a compiled network has no stages to look into.")
    return lines


def _signed(seconds: float) -> str:
    return units.duration(seconds) if seconds >= 0 else f"−{units.duration(-seconds)}"


def _share(fraction: float) -> str:
    return f"{100 * fraction:.1f} %".replace("-", "−")
