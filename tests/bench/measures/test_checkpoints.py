"""A run that goes on from a checkpoint: what it trains, what its record says, and what keeps it from going on."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bench.errors import UsageError
from bench.execution.runner import execute
from bench.measures import checkpoints
from bench.runs import checkpoint
from bench.runs.checkpoint import CheckpointPlace
from tests.bench.measures.interrupted import last, left_by, place_of, resumed, rows, run_resumed

SETTINGS = ("epochs=3", "target_accuracy=null", "model.blocks=[1]", "checkpoint={every_epochs: 1}")
RANDOM = "data={name: random, shape: [1, 8, 8], classes: 4, train_count: 256, test_count: 64}"


@pytest.fixture
def job(make_job, tmp_path):
    return replace(make_job("time_to_accuracy", *SETTINGS, RANDOM), checkpoints=place_of(tmp_path / "kept"))


def test_a_resumed_run_is_the_whole_one_and_says_where_its_time_went(job, run_here):
    whole = run_here(job)
    made = left_by(job.checkpoints)
    assert made.values.epoch == 2
    told = run_resumed(resumed(job, made))
    assert rows(told) == rows(whole)
    before, after = last(whole)["metrics"], last(told)["metrics"]
    for name in ("accuracy", "loss", "epochs", "steps", "examples", "train_flops", "parameters"):
        assert after[name] == before[name]
    spans = last(told)["spans"]
    names = [span["name"] for span in spans]
    assert names[: names.index("lost")] == [span["name"] for span in made.values.spans]
    assert names.count("train") == 3
    assert names.count("checkpoint") == 2 + 1  # two written by the first part, one read by the second
    lost = spans[names.index("lost")]
    assert lost["end_s"] - lost["start_s"] == pytest.approx(2.5)
    assert all(one["end_s"] <= other["start_s"] + 1e-9 for one, other in itertools.pairwise(spans))
    train_s = sum(span["end_s"] - span["start_s"] for span in spans if span["name"] == "train")
    assert after["train_s"] == pytest.approx(train_s)
    assert after["total_s"] == spans[-1]["end_s"] > made.values.elapsed_s + 2.5
    assert after["peak_host_bytes"] >= made.values.peaks["peak_host_bytes"]
    assert after["energy_j"] is None
    (part,) = last([one for one in told if one["kind"] == "facts" and "resolved" in one], "facts")["resolved"][
        "resumed"
    ]
    assert part == {"run_id": made.values.run_id, "epoch": 2, "lost_s": pytest.approx(2.5), "away_s": 60.0}
    assert f"goes on from run {made.values.run_id} after epoch 2; of its work, 2.50 s was lost" in last(told)["reason"]


def test_its_own_checkpoint_replaces_the_one_it_went_on_from(make_job, run_here, tmp_path):
    job = replace(make_job("time_to_accuracy", *SETTINGS, RANDOM), checkpoints=place_of(tmp_path / "kept"))
    early = replace(job, recipe=job.recipe.model_copy(update={"epochs": 2}))
    run_here(early)
    made = left_by(early.checkpoints)
    assert made.values.epoch == 1
    again = replace(resumed(job, made), checkpoints=place_of(tmp_path / "kept", "20260101T000001.000000Z-00000001"))
    run_resumed(again)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == sorted([again.checkpoints.path.name, again.checkpoints.state_path(2, 0).name])
    assert checkpoint.read(again.checkpoints.path).values.parts == list(again.parts)


@pytest.mark.parametrize("what", ["the state", "the values"])
def test_a_full_disk_ends_no_run_and_leaves_the_last_checkpoint(job, run_here, monkeypatch, what):
    written = []
    owner, name = (checkpoints.state_file, "save") if what == "the state" else (CheckpointPlace, "write")
    own = getattr(owner, name)

    def full(*arguments, **values):
        written.append(1)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return own(*arguments, **values)

    monkeypatch.setattr(owner, name, full)
    end = last(run_here(job))
    assert end["status"] == "ok"
    assert "the checkpoint after epoch 2 could not be kept in" in end["reason"]
    assert "No space left on device" in end["reason"]
    assert checkpoint.read(job.checkpoints.path).values.epoch == 1


def test_other_data_is_refused(job, run_here, make_job):
    run_here(job)
    other = make_job("time_to_accuracy", *SETTINGS, RANDOM.replace("256", "320"))
    with pytest.raises(
        UsageError, match=r"it is of other data: fingerprint .*, and here .*leave out --resume to begin"
    ):
        run_resumed(resumed(other, left_by(job.checkpoints)))


def test_a_state_that_was_torn_meanwhile_is_refused(job, run_here):
    run_here(job)
    made = left_by(job.checkpoints)
    path, _ = made.state(0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        UsageError, match=r"is torn: .*rank0\.state is missing or not as it was written\. Remove it \(rm "
    ):
        run_resumed(resumed(job, made))


# Two runs, whose two ranks import torch each.
@pytest.mark.slow
def test_two_ranks_go_on_as_if_nothing_had_happened(make_job, tmp_path):
    """Each has batch statistics and gradients of its own, which only its own state knows."""
    job = make_job("time_to_accuracy", *SETTINGS, RANDOM, "devices=2", "evaluation.every_epochs=0")
    job = replace(job, checkpoints=place_of(tmp_path / "kept"))
    whole = execute(job, lambda event: None)
    assert whole.status == "ok", whole.log_tail
    made = left_by(job.checkpoints)
    assert len(made.values.states) == 2
    after = execute(resumed(job, made), lambda event: None)
    assert after.status == "ok", after.log_tail
    for rows_of_one in (whole.epochs, after.epochs):
        for row in rows_of_one:
            del row["train_s"]
    assert after.epochs == whole.epochs
    assert after.metrics["accuracy"] == whole.metrics["accuracy"]
