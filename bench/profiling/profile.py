"""The profile of a recipe: a table of stages whose rows, with those between and around them, add up to the step.

Timing: hooks that read a clock inside the network would make a GPU wait at every stage and add their own time. The step
is therefore marked only at the transitions between loader, forward, loss, backward and optimiser, and each stage is
timed separately, on inputs and output gradients recorded in one real step, in the recipe's precision and memory format.
All arms take turns (`bench.statistics.sampling`), so that a drift of the machine affects all alike. The sum of the
stages need not equal the network's time: a separate stage finds other data in the caches and pays for its own call, and
work between modules belongs to no stage. That difference has a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import nn

from bench.pipelines.loader import Batch, Loader
from bench.profiling.losses import KindFigures, LostTime, StepWork, kinds_of, losses_of, work_of_step
from bench.profiling.operators import operator_seconds
from bench.profiling.reference import Rate, matrix_product, seconds_of
from bench.profiling.roofline import BOUNDS as LIMIT_BOUNDS
from bench.profiling.roofline import MachineLimits, measured
from bench.profiling.stage_figures import StageFigures
from bench.profiling.stages import NetworkStage, Recording, Replay, record, stages_of
from bench.profiling.step import BACKWARD, FORWARD, PARTS, MarkedStep
from bench.profiling.workbench import Workbench
from bench.statistics.sampling import Bounds, Samples, sample
from bench.training import evaluation
from bench.training.flops import count_flops
from bench.training.precision import Precision

BOUNDS = Bounds(relative_error=0.03, least_samples=5, least_s=0.0, timeout_s=30.0)
# Consecutive calls in a sample: on a GPU the first hides the launch of the next, as in a real step.
REPEATS = {"cpu": 1, "cuda": 5}


@dataclass(frozen=True)
class Profile:
    """A network's stages in the order of the forward pass, the whole network, and the step around it.

    `step_s` has the seconds of each part of a step, which add up to it; `step` the samples of the whole step.
    `evaluation_s` is the time of evaluations between epochs, spread over the steps; None if there are none. `limits`
    are this machine's rates, `losses` the seconds beyond them, the largest first, and `kinds` the step by operations.
    """

    batch_size: int
    precision: str
    stages: list[StageFigures]
    net: StageFigures
    step_s: dict[str, float]
    step: Samples
    evaluation_s: float | None
    peak: Rate
    limits: MachineLimits | None = None
    losses: tuple[LostTime, ...] = ()
    kinds: tuple[KindFigures, ...] = ()

    @property
    def total_s(self) -> float:
        """Seconds of a whole step."""
        return sum(self.step_s.values())

    @property
    def between(self) -> StageFigures:
        """The network's time minus its stages: work between modules, the loss's backward pass, and the error."""
        net, stages = self.net, self.stages
        return StageFigures(
            "between stages",
            "",
            (),
            net.parameters - sum(stage.parameters for stage in stages),
            net.forward_flops - sum(stage.forward_flops for stage in stages),
            net.backward_flops - sum(stage.backward_flops for stage in stages),
            net.kept_bytes - sum(stage.kept_bytes for stage in stages),
            net.forward_s - sum(stage.forward_s for stage in stages),
            net.backward_s - sum(stage.backward_s for stage in stages),
            net.n,
            net.least_forward_s - sum(stage.least_forward_s for stage in stages),
            net.least_backward_s - sum(stage.least_backward_s for stage in stages),
        )

    @property
    def ranked(self) -> list[StageFigures]:
        """The slowest stage first."""
        return sorted(self.stages, key=lambda stage: stage.total_s, reverse=True)


class StageTimer:
    """Samples one stage: forward and backward separately, with their sum as the sample."""

    def __init__(self, stage: NetworkStage, precision: Precision) -> None:
        self._replays = [Replay(stage, precision) for _ in range(REPEATS[precision.device.kind])]
        self._device = precision.device
        self.seconds: list[dict[str, float]] = []

    def __call__(self) -> float:
        """Seconds of a forward and a backward pass of one batch."""
        spent: list[float] = []
        for replay in self._replays:
            replay.prepare()
        for passes in ([replay.forward for replay in self._replays], [replay.backward for replay in self._replays]):
            spent.append(seconds_of(self._device, lambda p=passes: [one() for one in p]) / len(passes))  # type: ignore[misc]
        for replay in self._replays:
            replay.release()
        self.seconds.append({FORWARD: spent[0], BACKWARD: spent[1]})
        return sum(spent)


def profile(
    workbench: Workbench,
    train: Loader,
    test: Loader,
    depth: int | None = None,
    bounds: Bounds = BOUNDS,
    limit_bounds: Bounds = LIMIT_BOUNDS,
) -> Profile:
    """Profile the recipe on the workbench with batches of `train`; evaluation is timed on one batch of `test`.

    After a warm-up pass, it samples until every stage is known precisely enough or `bounds.timeout_s` is over.
    """
    recipe, device, precision = workbench.recipe, workbench.device, workbench.precision
    product = matrix_product(device, precision.inputs)
    product.run()
    train.warm_up()
    batch = next(train.epoch(0))
    trainer = workbench.trainer(train)
    recording, timers, flops = prepare(workbench.model, batch, precision, depth)
    step, parts = MarkedStep(trainer, train), []

    def marked_step() -> float:
        parts.append(step.run(REPEATS[device.kind]))
        return sum(parts[-1].values())

    arms: dict[str, Callable[[], float]] = {f"stage {name}": timer for name, timer in timers.items()}
    arms["step"] = marked_step
    arms["product"] = lambda: seconds_of(device, product.run)
    if recipe.evaluation.every_epochs:
        test_batch, looks = next(test.epoch(0)), recipe.evaluation

        def evaluate() -> None:
            evaluation.evaluate(workbench.model, [test_batch], precision, looks.epoch_tta, tta_below=looks.tta_below)

        arms["evaluation"] = lambda: seconds_of(device, evaluate)
    marked_step()  # the first step creates the optimisers' state
    parts.clear()
    sampled = sample(arms, bounds)
    step_s = middle_mean([{part: one.get(part, 0.0) for part in PARTS} for one in parts])
    peak = product.rate(sampled["product"])
    work = work_of_step(workbench, train, recording.stages)
    limits = measured(device, work.all, peak, limit_bounds)
    net = StageFigures(
        "net",
        type(workbench.model).__name__,
        (len(batch[1]), workbench.data.classes),
        workbench.parameters,
        recording.forward_flops,
        recording.backward_flops,
        recording.kept_bytes,
        step_s[FORWARD],
        step_s[BACKWARD],
        sampled["step"].n,
        limits.least_s(work.parts[FORWARD]),
        limits.least_s(work.parts[BACKWARD]),
    )
    per_step = test.steps_per_epoch / train.steps_per_epoch / max(recipe.evaluation.every_epochs, 1)
    evaluation_s = sampled["evaluation"].median_s * per_step if "evaluation" in sampled else None
    rows = [_figures(stage, timers[stage.name], flops[stage.name], work, limits) for stage in recording.stages]
    spent = operator_seconds(workbench.trainer(train), train)
    return Profile(
        len(batch[1]),
        precision.name,
        rows,
        net,
        step_s,
        sampled["step"],
        evaluation_s,
        peak,
        limits,
        losses_of(rows, step_s, work, limits),
        kinds_of(spent, work, limits),
    )


def prepare(
    model: nn.Module, batch: Batch, precision: Precision, depth: int | None = None
) -> tuple[Recording, dict[str, StageTimer], dict[str, tuple[int, int]]]:
    """Record one step, and make for each stage its timer and its FLOPs (forward, backward); this also warms it up."""
    recording = record(model, batch, precision, stages_of(model, depth))
    timers = {stage.name: StageTimer(stage, precision) for stage in recording.stages}
    flops: dict[str, tuple[int, int]] = {}
    for stage in recording.stages:
        replay = Replay(stage, precision)
        replay.prepare()
        flops[stage.name] = (count_flops(replay.forward), count_flops(replay.backward))
    return recording, timers, flops


def middle_mean(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each part over the middle half of the samples, ranked by their sums: robust, and the parts add up."""
    ranked = sorted(samples, key=lambda sample: sum(sample.values()))
    middle = ranked[len(ranked) // 4 : len(ranked) - len(ranked) // 4]
    return {part: fmean(sample[part] for sample in middle) for part in samples[0]}


def _figures(
    stage: NetworkStage, timer: StageTimer, flops: tuple[int, int], work: StepWork, limits: MachineLimits
) -> StageFigures:
    seconds, (forward, backward) = middle_mean(timer.seconds), work.stages[stage.name]
    return StageFigures(
        stage.name or "(all)",
        stage.kind,
        stage.output_shape,
        stage.parameters,
        *flops,
        stage.kept_bytes,
        seconds[FORWARD],
        seconds[BACKWARD],
        len(timer.seconds),
        limits.least_s(forward),
        limits.least_s(backward),
    )
