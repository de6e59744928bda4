"""What the rule books make of a run that was interrupted and went on from a checkpoint."""

from __future__ import annotations

import pytest

from bench.scores.rules import RULES, groups, rule

TRAIN_S, EVAL_S = 10, 1
# Until the first epoch, as in `trained`, of which start and import take three seconds.
BEFORE_S, STARTED_S = 19, 3
LOST_S = 7


@pytest.fixture
def resumed(trained):
    """A run of two epochs that was interrupted in the second."""

    def make(lost_s=LOST_S, seed=0, accuracies=(0.9, 0.95)):
        whole = trained(list(accuracies), seed=seed)
        cut = BEFORE_S + TRAIN_S + EVAL_S
        first = [span for span in whole.spans if span["end_s"] <= cut]
        checkpoint = [_span("checkpoint", cut, cut + 2)]
        lost = [_span("lost", cut + 2, cut + 2 + lost_s)] if lost_s else []
        at_s = cut + 2 + (lost_s or 0)
        again = [
            {**span, "start_s": span["start_s"] + at_s, "end_s": span["end_s"] + at_s}
            for span in whole.spans
            if span["end_s"] <= BEFORE_S
        ]
        at_s += BEFORE_S
        second = [
            {**span, "start_s": span["start_s"] - cut + at_s, "end_s": span["end_s"] - cut + at_s}
            for span in whole.spans
            if span["start_s"] >= cut
        ]
        parts = [{"run_id": f"interrupted-{seed}", "epoch": 1, "lost_s": lost_s, "away_s": 3600.0}]
        config = whole.config | {"resolved": {"resumed": parts}}
        return trained(list(accuracies), seed=seed, spans=[*first, *checkpoint, *lost, *again, *second], config=config)

    return make


def _span(name, start_s, end_s):
    return {"name": name, "start_s": float(start_s), "end_s": float(end_s), "epoch": None, "device_s": None}


def test_dawnbench_counts_the_work_of_both_parts_and_what_was_lost(resumed, codes):
    score = rule("dawnbench").score([resumed()])
    (timing,) = score.timings
    # Both parts load, build and warm up; the imports, the evaluation and the checkpoint are outside.
    assert timing.time_s == 2 * (BEFORE_S - STARTED_S) + 2 * TRAIN_S + LOST_S
    assert timing.counted["lost"] == LOST_S
    assert timing.uncounted["checkpoint"] == 2
    assert score.qualifies, score.reasons
    text = next(note.text for note in score.footnotes if note.code == "resumed")
    assert text == (
        "the run was interrupted and went on from a checkpoint: the time holds 7.0 s of work that was lost, "
        "and no pause"
    )


def test_nothing_ranks_where_nobody_knows_what_was_lost(resumed):
    score = rule("dawnbench").score([resumed(lost_s=None)])
    assert [reason.text for reason in score.reasons if reason.code == "resumed"] == [
        "the run was interrupted and went on from a checkpoint, and how much work was lost is not known"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mlperf", "its clock has no pause"),
        ("speedrun", "the source times a training in one piece, and a machine that has rested is faster"),
        ("coldstart", "not one command, and only the first one started cold"),
    ],
)
def test_the_other_books_refuse_it_and_say_why(resumed, name, why):
    score = rule(name).score([resumed(seed=seed) for seed in range(5)])
    told = [reason.text for reason in score.reasons if reason.code == "resumed"]
    assert told == [f"the runs were interrupted and went on from a checkpoint: {why}"]


def test_only_dawnbench_takes_it():
    assert [name for name in RULES if rule(name).against_resumed is None] == ["dawnbench"]


def test_resumed_runs_are_of_a_kind_of_their_own_and_what_they_continued_is_a_part_of_them(trained, resumed):
    whole, after = trained([0.9, 0.95], seed=1), resumed(seed=2)
    before = trained([], seed=2, run_id="interrupted-2", status="crashed")
    found = groups([whole, before, after])
    assert [[run.run_id for run in group] for group in found] == [[whole.run_id], [after.run_id]]
