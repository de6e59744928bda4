"""A training loss as the target, in place of an accuracy."""

import pytest

from bench.errors import UsageError


def end_of(told):
    return told[-1], [event for event in told if event["kind"] == "epoch"]


def test_a_run_ends_with_the_epoch_whose_loss_is_low_enough(make_job, run_here):
    settings = (
        "model.width=8",
        "target_accuracy=null",
        "target_loss=1.0",
        "stop_at_target=true",
        "evaluation.every_epochs=0",
    )
    end, epochs = end_of(run_here(make_job("time_to_accuracy", *settings)))
    assert end["status"] == "ok"
    *before, last = [epoch["loss"] for epoch in epochs]
    assert last <= 1.0 < min(before)
    assert end["metrics"]["reached"] is True
    assert end["metrics"]["loss"] == last
    # Known as soon as the epoch is over, and so before the final evaluation.
    (evaluated,) = [span for span in end["spans"] if span["name"] == "final_eval"]
    assert end["metrics"]["time_to_target_s"] <= evaluated["start_s"]


def test_a_loss_that_is_missed_is_told(make_job, run_here):
    end, _ = end_of(run_here(make_job("time_to_accuracy", "target_accuracy=null", "target_loss=1e-6", "epochs=1")))
    assert end["status"] == "not_reached"
    assert "is above the target of 1e-06" in end["reason"]
    assert end["metrics"]["reached"] is False
    assert end["metrics"]["time_to_target_s"] is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["target_loss=0.5"], "target_loss: there is one target; set target_accuracy to null"),
        (["target_accuracy=null", "stop_at_target=true"], "needs a target_accuracy or a target_loss"),
        (["target_accuracy=null", "target_loss=0"], "target_loss"),
    ],
)
def test_targets_that_do_not_fit_are_refused(settings, said, make_job):
    with pytest.raises(UsageError, match=said):
        make_job("time_to_accuracy", *settings)
