from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs.run import Run
from bench.scores.rules.timing import BETWEEN, RunTimeline

SPANS = st.lists(
    st.tuples(st.sampled_from(["data", "train", "eval"]), st.floats(0, 100), st.floats(0, 100)), max_size=12
)


def _spans(rows: list[tuple[str, float, float]]) -> list[dict[str, Any]]:
    return [{"name": name, "start_s": at, "end_s": at + length, "epoch": None} for name, at, length in rows]


@given(rows=SPANS, begin_s=st.floats(0, 200), end_s=st.floats(0, 200))
def test_counted_and_uncounted_are_together_the_whole_run(
    make_run: Callable[..., Run], rows: list[tuple[str, float, float]], begin_s: float, end_s: float
) -> None:
    line = RunTimeline(make_run(spans=_spans(rows)))
    timing = line.timed(begin_s, end_s, lambda piece: piece.name != "eval", reached=True)
    total_s = max((at + length for _, at, length in rows), default=0.0)
    assert sum(timing.counted.values()) + sum(timing.uncounted.values()) == pytest.approx(total_s)
    assert timing.time_s == pytest.approx(sum(timing.counted.values()))
    assert "eval" not in timing.counted
    assert line.end_s == total_s


def test_time_outside_of_all_spans_is_named(make_run: Callable[..., Run]) -> None:
    line = RunTimeline(make_run(spans=_spans([("data", 1, 2), ("train", 4, 1)])))
    assert [piece.name for piece in line.pieces] == [BETWEEN, "data", BETWEEN, "train"]


def test_evaluations_are_paired_with_their_accuracies(trained: Callable[..., Run]) -> None:
    looks = RunTimeline(trained([0.8, 0.93], 0.945)).evaluations
    assert [(look.epoch, look.accuracy, look.tta) for look in looks] == [(1, 0.8, 0), (2, 0.93, 0), (2, 0.945, 2)]
    assert [look.piece.end_s for look in looks] == [30, 41, 44]


def test_spans_that_count_epochs_from_zero_are_read_alike(trained: Callable[..., Run]) -> None:
    old, new = (RunTimeline(trained([0.8, 0.93], 0.945, first_epoch=first)).evaluations for first in (0, 1))
    assert old == new


def test_epochs_that_were_not_evaluated_are_left_out(trained: Callable[..., Run]) -> None:
    run = trained([0.8, 0.95])
    sparse = Run(
        **{
            **{name: getattr(run, name) for name in run.__struct_fields__},
            "spans": [span for span in run.spans if (span["name"], span["epoch"]) != ("eval", 1)],
            "epochs": [{"epoch": 1, "accuracy": None}, {"epoch": 2, "accuracy": 0.95}],
        }
    )
    assert [look.epoch for look in RunTimeline(sparse).evaluations] == [2]


def test_a_run_that_was_stopped_has_no_final_evaluation(trained: Callable[..., Run]) -> None:
    run = trained([0.8, 0.93], status="crashed", config={"evaluation": {"tta": 2, "epoch_tta": 0}})
    assert [look.tta for look in RunTimeline(run).evaluations] == [0, 0]


def test_a_run_without_spans_has_no_time(make_run: Callable[..., Run]) -> None:
    line = RunTimeline(make_run(status="crashed"))
    assert (line.end_s, line.evaluations, line.pieces) == (0.0, [], [])
