"""Write docs/gpu_counts.md: what every shipped recipe asks of a GPU, counted without one.

    python -m tools.gpu_counts

Each recipe's on_cuda form first trains on the fake GPU (tests/fake_cuda), which needs a C++ compiler and a torch made
for the CPU. Takes two minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.profiling import cards, estimate
from bench.profiling.demand import Work, demand
from bench.spec import recipes
from bench.spec.recipe import Recipe
from tests.fake_cuda.process import WITHOUT_CUDNN, NoFakeGpu, train_on_fake_gpu

OUT = Path(__file__).resolve().parents[1] / "docs" / "gpu_counts.md"
CARDS = ("a100", "h100")
COLUMNS = ("recipe", "precision", "form", "steps", "operations", "launches", "waits in an epoch", "bytes, GB",
           "as joined, GB", "TFLOP", *(f"{card}: step, ms" for card in CARDS),
           *(f"{card}: training, s" for card in CARDS),
           "faults on the fake GPU")  # fmt: skip


def row(name: str, recipe: Recipe, work: Sequence[Work], trained: dict[str, object]) -> list[str]:
    """Of a step in the mean over the run, its batch included."""
    training = [one for one in work if not one.evaluates]
    steps = sum(one.times for one in training if one.is_step)
    joined = [estimate.as_run(one, recipe) for one in training]

    def mean(values: Sequence[float]) -> float:
        return sum(one.times * value for one, value in zip(training, values, strict=True)) / steps

    times = [estimate.run_s(training, recipe, cards.find(card))[0] for card in CARDS]
    faults = trained["faults"]
    assert isinstance(faults, list)
    return [
        name,
        str(trained["precision"]),
        "graph" if recipe.cuda_graph else "compiled" if recipe.compile else "eager",
        f"{steps:,}",
        f"{mean([len(one.operations) for one in training]):.0f}",
        f"{mean([estimate.launches(one, recipe) for one in training]):.0f}",
        f"{int(str(trained['waits_in_training'])) / int(str(trained['epochs'])):g}",
        f"{mean([one.bytes for one in training]) / 1e9:.2f}",
        f"{mean([one.bytes for one in joined]) / 1e9:.2f}" if recipe.compile else "–",
        f"{mean([one.flops for one in training]) / 1e12:.3f}",
        *(f"{1000 * time / steps:.2f}" for time in times),
        *(f"{time:.2f}" for time in times),
        str(len(faults)),
    ]


def document(rows: Sequence[Sequence[str]]) -> str:
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows))
    return f"""# What the recipes ask of a GPU

Written by `python -m tools.gpu_counts` with torch {torch.__version__}; no GPU was used. `bench show RECIPE --card NAME`
says the same of one recipe, stage by stage, for any card that it knows.

Of a training step in the mean over the run, its batch included, on one device. *Operations* and *bytes* are eager
torch's, each operand read and written once. *Launches* are what the host gives to the GPU in the recipe's own form; *as
joined*, what is left of the bytes when a compiler joins what lies between two products (`bench/profiling/estimate.py`).
*Waits* are those of the host for the GPU within an epoch: one, for the mean loss at its end. *Faults* are what a whole
run on a GPU that computes nothing (`tests/fake_cuda`) found in its way.

**The times are estimates, not measurements.** They assume {estimate.ASSUMPTIONS}. Evaluations are not in them.

{table}
"""


def main() -> int:
    names = recipes.trained_names()
    try:
        reports = train_on_fake_gpu(
            [{"recipe": name, "settings": WITHOUT_CUDNN.get(name, [])} for name in names], timeout_s=1800
        )
    except NoFakeGpu as lack:
        print(f"gpu_counts: {lack}", file=sys.stderr)
        return 3
    rows = []
    for name, trained in zip(names, reports, strict=True):
        recipe = recipes.load(name, "cuda")
        rows.append(row(name, recipe, demand(recipe), trained))
        print(" | ".join(rows[-1]), flush=True)
    OUT.write_text(document(rows), encoding="utf-8")
    print(f"written to {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
