"""A script's time: pieces that cover all of it once, whatever was told, and an evaluation for each accuracy."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measures.script_timeline import LOOKS, ScriptTimeline

NAMES = st.sampled_from(["data", "train", "eval", "final_eval", "own"])
TOLD = st.one_of(
    st.tuples(st.just("start"), NAMES), st.tuples(st.just("end"), NAMES), st.tuples(st.just("epoch"), st.booleans())
)
STEPS = st.one_of(st.just(0.0), st.floats(0, 10))


@given(st.lists(st.tuples(STEPS, TOLD), max_size=25), STEPS, st.booleans())
def test_the_pieces_cover_the_time_once_and_each_accuracy_has_its_look(told, left_s, forgets):
    timeline, now_s, accuracies = ScriptTimeline(), 0.0, 0
    for step_s, (kind, what) in told:
        now_s += step_s
        if kind == "start":
            timeline.start(what, now_s)
        elif kind == "end":
            timeline.end(what, now_s)
        else:
            timeline.epoch(now_s, {"accuracy": 0.5} if what else {})
            accuracies += what
    exit_s = now_s + left_s
    if forgets:
        timeline.forget_epoch_times()
    pieces = timeline.finish(exit_s)
    assert pieces[0].start_s == 0
    assert pieces[-1].end_s == pytest.approx(exit_s)
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(pieces))
    assert all(piece.end_s >= piece.start_s for piece in pieces)
    if not forgets:
        assert sum(piece.name in LOOKS for piece in pieces) == accuracies


def names(timeline, exit_s):
    return [(piece.name, piece.start_s, piece.end_s) for piece in timeline.finish(exit_s)]


def test_of_epochs_alone_nobody_knows_what_was_training():
    timeline = ScriptTimeline()
    timeline.epoch(4, {"accuracy": 0.5})
    timeline.epoch(6, {"accuracy": 0.9})
    assert names(timeline, 7) == [
        ("load_and_train", 0, 4), ("eval", 4, 4), ("load_and_train", 4, 6), ("eval", 6, 6), ("rest", 6, 7),
    ]  # fmt: skip
    assert [row["train_s"] for row in timeline.epochs] == [4, 6]


def test_a_span_inside_another_belongs_to_itself():
    timeline = ScriptTimeline()
    timeline.start("train", 1)
    timeline.start("eval", 3)
    timeline.end("eval", 4)
    timeline.epoch(4, {"accuracy": 0.5})
    timeline.end("train", 6)
    assert names(timeline, 7) == [
        ("rest", 0, 1), ("train", 1, 3), ("eval", 3, 4), ("train", 4, 6), ("rest", 6, 7),
    ]  # fmt: skip
    assert timeline.epochs == [{"epoch": 1, "accuracy": 0.5, "train_s": 2}]


def test_an_epoch_s_own_time_of_training_stays_and_an_unknown_end_gives_none():
    timeline = ScriptTimeline()
    timeline.epoch(4, {"accuracy": 0.5, "train_s": 1.25})
    timeline.epoch(6, {"accuracy": 0.6})
    timeline.forget_epoch_times()
    timeline.finish(7)
    assert timeline.epochs == [{"epoch": 1, "accuracy": 0.5, "train_s": 1.25}, {"epoch": 2, "accuracy": 0.6}]


def test_of_several_evaluations_the_last_before_an_accuracy_is_its_own():
    timeline = ScriptTimeline()
    for at_s, kind in enumerate(["train", "eval", "eval"]):
        timeline.start(kind, at_s)
        timeline.end(kind, at_s + 1)
    timeline.epoch(3, {"accuracy": 0.5})
    timeline.start("eval", 4)
    assert [name for name, _, _ in names(timeline, 5)] == ["train", "other_eval", "eval", "rest", "other_eval"]


def test_what_does_not_fit_is_noted():
    timeline = ScriptTimeline()
    timeline.end("train", 1)
    timeline.start("train", 1)
    timeline.start("data", 2)
    timeline.end("train", 3)
    assert timeline.problems == [
        "the span train ended without a start",
        "the span data was still open at the end of train, around it",
    ]


def test_a_moment_before_the_last_one_is_taken_for_the_last_one():
    timeline = ScriptTimeline()
    timeline.start("data", 5)
    timeline.end("data", 3)
    assert names(timeline, 6) == [("rest", 0, 6)]
