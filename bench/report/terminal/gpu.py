"""What a recipe asks of a GPU, and how long it would take on a card by its data sheet."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.profiling import estimate
from bench.profiling.cards import Card
from bench.profiling.demand import Work
from bench.spec.recipe import Recipe
from bench.text import units


def print_demand(console: Console, work: Sequence[Work], recipe: Recipe, card: Card | None) -> None:
    """A row for each kind of step and evaluation; with a `card`, an estimate of its time and of the run's."""
    console.print(
        "On a GPU, counted without one; of one step, batch or evaluated batch, in mean over its kind:", style="bold"
    )
    console.print(demand_table(work, recipe, card))
    form = (
        "in a CUDA graph, which is launched at once"
        if recipe.cuda_graph
        else "as torch.compile is expected to join them"
        if recipe.compile
        else "as eager torch launches them"
    )
    notes = [
        "Operations and bytes are eager torch's, each operand read and written once; launches are the recipe's, whose "
        f"steps run {form}."
    ]
    if recipe.compile:
        notes.append("Bytes as joined: what a network's kernels pass on within one kernel is neither written nor read.")
    if recipe.device_count > 1:
        notes.append("Of one device, without what the devices exchange.")
    if recipe.evaluation.tta_below is not None:
        notes.append("Further views of unsure images are not counted: how many are unsure is not known.")
    for note in notes:
        console.print(note, markup=False, highlight=False)
    if card:
        console.print(estimated(work, recipe, card), markup=False, highlight=False)


def demand_table(work: Sequence[Work], recipe: Recipe, card: Card | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("what", overflow="fold")
    columns = ["times", "images", "operations", "launches", "waits", "bytes", "as joined", "FLOP"]
    for column in [*columns, *(["device", "host", "estimate"] if card else [])]:
        table.add_column(column, justify="right")
    for one in work:
        joined = units.size(estimate.as_run(one, recipe).bytes) if recipe.compile else units.MISSING
        row = [
            one.title,
            f"{one.times:,}",
            f"{one.examples:,}",
            str(len(one.operations)),
            str(estimate.launches(one, recipe)),
            str(sum(one.waits.values())),
            units.size(one.bytes),
            joined,
            units.count(one.flops),
        ]
        if card:
            took = estimate.time(one, recipe, card)
            row += [units.milliseconds(1000 * s) for s in (took.device_s, took.host_s, took.step_s)]
        table.add_row(*row)
    return table


def estimated(work: Sequence[Work], recipe: Recipe, card: Card) -> str:
    """The run's time on the card, in a sentence with all that it assumes."""
    training_s, evaluation_s = estimate.run_s(work, recipe, card)
    return (
        f"Estimate for {card.hardware}, not a measurement: training {units.duration(training_s)}, evaluations "
        f"{units.duration(evaluation_s)}. It assumes {estimate.ASSUMPTIONS}. Data sheet: {card.half_tflops:g} TFLOP/s "
        f"in half precision, {card.fp32_tflops:g} in fp32, {card.memory_gb_per_s:,g} GB/s ({card.source}, {card.date})."
    )
