"""A task that goes on from a checkpoint trains as if it had never been interrupted."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from bench.runs.weights import WeightsFile
from bench.spec import recipes
from bench.tasks import TASKS
from bench.training.fake_pool import FakePool
from tests.bench.measures.interrupted import last, left_by, place_of, resumed, rows, run_resumed

SETTINGS = ("epochs=3", "threads=1", "checkpoint={every_epochs: 1}")
NOISE = "name: random, shape: [3, 24, 24], classes: 2, train_count: 16, test_count: 8"
# A recipe of each kind of task, with settings under which all that it remembers matters in the last epoch.
RECIPES = {
    # The critic's steps before one of the generator begin in one epoch and end in the next.
    "wgan_smoke": (
        "data={name: digits, train_count: 160}",
        "model.width=4",
        "batch_size=16",
        "evaluation.every_epochs=1",
        "task.samples=60",
        "task.nearest=5",
        "task.many_critic_steps=7",
        "task.critic_steps=6",
    ),
    # The pools are full after a step.
    "cyclegan": (
        f"data={{{NOISE}}}",
        "model.filters=4",
        "model.blocks=1",
        "batch_size=2",
        "evaluation.batch_size=2",
        "target_quality=null",
        "task.pool=2",
    ),
    # The encoder is trained from the middle of the last epoch on.
    "unet": (
        f"data={{{NOISE}, targets: classes}}",
        "augment.shift_pixels=0",
        "model.widths=[4, 4]",
        "batch_size=4",
        "task.frozen_until=0.8",
    ),
    # The images are half as large until the middle of the last epoch.
    "superres_pixels": (
        f"data={{{NOISE}, targets: images}}",
        "model.widths=[4, 4]",
        "batch_size=4",
        "task.half_size_until=0.8",
    ),
    # The switch decides from the first batch on, and the critic drops channels at random.
    "restore_gan": (
        f"data={{{NOISE}, targets: images}}",
        "model.widths=[4, 8]",
        "model.attention=false",
        "model.critic_width=4",
        "model.critic_blocks=1",
        "batch_size=2",
        "task.generator_until=0",
        "task.critic_until=0",
        "task.switch_below=0.7",
        "task.features=null",
    ),
}


@pytest.fixture
def judge(make_job, run_here, tmp_path):
    """The weights of a classifier of digits."""

    def trained():
        path = tmp_path / "judge.pt"
        run_here(replace(make_job("time_to_accuracy", "epochs=1", "target_accuracy=null"), keep_weights=path))
        return WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest())

    return trained


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_resumed_task_is_the_whole_one(recipe, make_job, run_here, judge, tmp_path):
    job = make_job("time_to_accuracy", *SETTINGS, *RECIPES[recipe], recipe=recipe)
    nets = {"features": judge()} if recipe == "wgan_smoke" else {}
    job = replace(job, checkpoints=place_of(tmp_path / "kept"), nets=nets)
    whole = run_here(job)
    made = left_by(job.checkpoints)
    assert made.values.epoch == 2
    told = run_resumed(resumed(job, made))
    assert rows(told) == rows(whole)
    assert len({row["loss"] for row in rows(told)}) == 3, "epochs that are all alike show nothing"
    before, after = last(whole)["metrics"], last(told)["metrics"]
    judged = [name for name in before if name in rows(whole)[-1] or name.startswith("untrained_")]
    assert {name: after[name] for name in judged} == {name: before[name] for name in judged}
    assert [span["name"] for span in last(told)["spans"]].count("train") == 3


def test_no_task_is_forgotten():
    assert {recipes.load(name, "cpu").task.name for name in RECIPES} == set(TASKS)


def test_a_state_that_was_not_put_back_would_be_seen(make_job, run_here, monkeypatch, tmp_path):
    """What the test above compares would otherwise be nothing: the pools are all that is forgotten here."""
    job = make_job("time_to_accuracy", *SETTINGS, *RECIPES["cyclegan"], recipe="cyclegan")
    job = replace(job, checkpoints=place_of(tmp_path / "kept"))
    whole = run_here(job)
    monkeypatch.setattr(FakePool, "restore", lambda *_: None)
    told = run_resumed(resumed(job, left_by(job.checkpoints)))
    assert rows(told)[:2] == rows(whole)[:2]
    assert rows(told)[2] != rows(whole)[2]
