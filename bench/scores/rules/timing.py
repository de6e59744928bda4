"""The timeline of a run: its pieces between and in spans, its evaluations, and its time under a clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bench.host.contention import Usage, by_span
from bench.runs.plausible import impossible
from bench.runs.run import FINISHED, Run
from bench.text import units

# Time between spans: the harness's own bookkeeping.
BETWEEN = "between"
LOOKS = ("eval", "final_eval")
# The only span of an imported entry; evaluations were outside its clock, at the end of each span.
UNDIVIDED = "load_and_train"
TRAINING = ("train", UNDIVIDED)


class TimelinePiece(NamedTuple):
    """A part of a run's time, in host seconds since the command; `name` is a span's, or BETWEEN."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TimedEvaluation:
    """An evaluation on the test set: the accuracy, after which epoch (from 1), and with which level of TTA."""

    accuracy: float
    epoch: int
    tta: int
    piece: TimelinePiece


@dataclass(frozen=True)
class Timing:
    """One run under a rule's clock.

    `time_s` is None if the run did not complete what is timed. `accuracy` is the final one, `reached` says whether the
    run reached the target under the rule, and `reached_by` is the evaluation that ended the clock, if one did.
    `counted` and `uncounted` are host seconds by span name and add up to the whole run.
    """

    run_id: str
    seed: int
    time_s: float | None
    accuracy: float | None
    reached: bool
    counted: dict[str, float]
    uncounted: dict[str, float]
    reached_by: TimedEvaluation | None = None


class RunTimeline:
    """A run's time without gap or overlap, from the command to its last span."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.pieces: list[TimelinePiece] = []
        at_s = 0.0
        for start_s, end_s, name in sorted((span["start_s"], span["end_s"], span["name"]) for span in run.spans):
            if start_s > at_s:
                self.pieces.append(TimelinePiece(BETWEEN, at_s, start_s))
                at_s = start_s
            self.pieces.append(TimelinePiece(name, at_s, max(at_s, end_s)))
            at_s = max(at_s, end_s)

    @property
    def end_s(self) -> float:
        return self.pieces[-1].end_s if self.pieces else 0.0

    @cached_property
    def impossible(self) -> str | None:
        """The first impossible fact of the run."""
        return next(impossible(self.run), None)

    @cached_property
    def usages(self) -> dict[str, Usage]:
        """Who used the cores, by name of span."""
        return by_span(self.run.spans)

    @property
    def accuracy(self) -> float | None:
        """The final accuracy."""
        return number(self.run, "accuracy")

    @cached_property
    def evaluations(self) -> list[TimedEvaluation]:
        """All evaluations with a known result, in order of time.

        Spans and accuracies are matched by order, because older records count the epochs of spans from 0.
        """
        run, final = self.run, self.accuracy
        looks = [piece for piece in self.pieces if piece.name in LOOKS]
        if not looks:
            looks = [
                TimelinePiece("eval", piece.end_s, piece.end_s) for piece in self.pieces if piece.name == UNDIVIDED
            ]
        rows: list[tuple[Any, Any]] = [
            (row["epoch"], row["accuracy"]) for row in run.epochs if row.get("accuracy") is not None
        ]
        if looks and looks[-1].name == "final_eval" and len(looks) == len(rows) + 1 and final is not None:
            rows.append((run.epochs[-1]["epoch"] if run.epochs else 0, final))
        levels = [self.tta("epoch_tta")] * len(rows)
        if levels and run.status in FINISHED:
            levels[-1] = self.tta("tta")
        return [
            TimedEvaluation(float(accuracy), int(epoch), level, look)
            for (epoch, accuracy), level, look in zip(rows, levels, looks, strict=False)
        ]

    def first_at(self, target: float | None) -> TimedEvaluation | None:
        """The first evaluation at or above the target."""
        return next((look for look in self.evaluations if target is not None and look.accuracy >= target), None)

    def tta(self, which: str = "tta") -> int:
        """The level of test-time augmentation of the final evaluation (`tta`), or of the others (`epoch_tta`)."""
        return int(units.get(self.run.config, "evaluation", which) or 0)

    def timed(
        self,
        begin_s: float,
        end_s: float | None,
        ticks: Callable[[TimelinePiece], bool] = lambda _: True,
        *,
        reached: bool,
        reached_by: TimedEvaluation | None = None,
    ) -> Timing:
        """The timing under a clock that runs from `begin_s` to `end_s`, in the pieces for which `ticks` is true.

        If `end_s` is None, the run did not reach the end: all of it is counted, and there is no time.
        """
        counted: dict[str, float] = {}
        uncounted: dict[str, float] = {}
        stop_s = math.inf if end_s is None else end_s
        begin_s = min(begin_s, stop_s)
        for piece in self.pieces:
            name, from_s, to_s = piece
            # Nearly all pieces lie on one side. With thousands of runs this loop takes most of the time.
            if to_s <= begin_s or from_s >= stop_s or not ticks(piece):
                uncounted[name] = uncounted.get(name, 0.0) + (to_s - from_s)
            elif from_s >= begin_s and to_s <= stop_s:
                counted[name] = counted.get(name, 0.0) + (to_s - from_s)
            else:
                inside_s = min(to_s, stop_s) - max(from_s, begin_s)
                counted[name] = counted.get(name, 0.0) + inside_s
                uncounted[name] = uncounted.get(name, 0.0) + (to_s - from_s - inside_s)
        counted, uncounted = ({name: s for name, s in spent.items() if s > 0} for spent in (counted, uncounted))
        time_s = None if end_s is None else math.fsum(counted.values())
        if time_s is not None and not math.isfinite(time_s):  # an unfinished span in an imported record
            time_s = None
        return Timing(self.run.run_id, self.run.seed, time_s, self.accuracy, reached, counted, uncounted, reached_by)


def number(run: Run, metric: str) -> float | None:
    """A metric of the run; None if it is missing or not a finite number."""
    value = run.metrics.get(metric)
    return float(value) if value is not None and math.isfinite(value) else None
