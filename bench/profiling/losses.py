"""Where the seconds of a step are lost: its parts and its kinds of operations against what this machine can do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.pipelines.loader import Batch, Loader
from bench.profiling.demand import Parts, step_made
from bench.profiling.kinds import kind_of
from bench.profiling.operations import Operation, Operations
from bench.profiling.roofline import MachineLimits
from bench.profiling.stage_figures import StageFigures
from bench.profiling.stages import NetworkStage, Replay
from bench.profiling.step import BACKWARD, FORWARD, LOADER, LOSS, OPTIMIZER, mark_parts
from bench.profiling.workbench import Workbench


class LostTime(NamedTuple):
    """A part of a step: its seconds, and the least that this machine needs for its operations."""

    name: str
    part: str
    spent_s: float
    least_s: float

    @property
    def lost_s(self) -> float:
        return self.spent_s - self.least_s

    @property
    def reached(self) -> float:
        return self.least_s / self.spent_s if self.spent_s else 0.0


class KindFigures(NamedTuple):
    """All operations of one kind in a step: how many, torch's own seconds of them, and the least seconds."""

    kind: str
    number: int
    spent_s: float
    least_s: float


@dataclass(frozen=True)
class StepWork:
    """The operations of a step by part, and of each stage by name, forward and backward."""

    parts: Mapping[str, Sequence[Operation]]
    stages: Mapping[str, tuple[Sequence[Operation], Sequence[Operation]]]

    @property
    def all(self) -> Iterable[Operation]:
        for operations in self.parts.values():
            yield from operations
        for forward, backward in self.stages.values():
            yield from (*forward, *backward)


def work_of_step(workbench: Workbench, train: Loader, stages: Sequence[NetworkStage]) -> StepWork:
    """Count one step with a batch of `train`; the loader's part is what it does in this process."""
    batch, making = _batch_made(train)
    trainer, parts = workbench.trainer(train), Parts()
    mark_parts(trainer, parts)
    optimizers = trainer.train_step.make_optimizers()
    step_made(trainer, optimizers, batch, 0, parts)  # creates the optimisers' state
    found: dict[str, list[Operation]] = defaultdict(list, {LOADER: making})
    for operation in step_made(trainer, optimizers, batch, 0, parts).each:
        found[operation.part].append(operation)
    by_stage = {stage.name: _of_stage(stage, workbench) for stage in stages}
    return StepWork({part: found[part] for part in (LOADER, FORWARD, LOSS, BACKWARD, OPTIMIZER)}, by_stage)


def losses_of(
    rows: Sequence[StageFigures], step_s: Mapping[str, float], work: StepWork, limits: MachineLimits
) -> tuple[LostTime, ...]:
    """The stages, forward and backward, and the other parts of a step, the most seconds lost first."""
    found = [LostTime(row.name, FORWARD, row.forward_s, row.least_forward_s) for row in rows]
    found += [LostTime(row.name, BACKWARD, row.backward_s, row.least_backward_s) for row in rows]
    found += [
        LostTime(part, "", step_s.get(part, 0.0), limits.least_s(work.parts[part]))
        for part in (LOADER, LOSS, OPTIMIZER)
    ]
    return tuple(sorted((loss for loss in found if loss.lost_s > 0), key=lambda loss: -loss.lost_s))


def kinds_of(spent_s: Mapping[str, float], work: StepWork, limits: MachineLimits) -> tuple[KindFigures, ...]:
    """The kinds of a step's operations by `spent_s`, the profiler's own seconds of each operator, the longest first."""
    spent: dict[str, float] = defaultdict(float)
    for name, seconds in spent_s.items():
        spent[kind_of(name)] += seconds
    by_kind: dict[str, list[Operation]] = defaultdict(list)
    for operations in work.parts.values():
        for operation in operations:
            by_kind[kind_of(operation.name)].append(operation)
    kinds = dict.fromkeys([*spent, *by_kind])
    found = [KindFigures(kind, len(by_kind[kind]), spent[kind], limits.least_s(by_kind[kind])) for kind in kinds]
    return tuple(sorted((one for one in found if one.spent_s or one.number), key=lambda one: -one.spent_s))


def _batch_made(train: Loader) -> tuple[Batch, list[Operation]]:
    batches = iter(train.epoch(0))
    next(batches)
    with Operations(part=LOADER) as counted:
        batch = next(batches, None)
    return (batch, counted.each) if batch is not None else (next(train.epoch(0)), [])


def _of_stage(stage: NetworkStage, workbench: Workbench) -> tuple[list[Operation], list[Operation]]:
    replay = Replay(stage, workbench.precision)
    replay.prepare()
    with Operations(part=FORWARD) as forward:
        replay.forward()
    with Operations(part=BACKWARD) as backward:
        replay.backward()
    return forward.each, backward.each
