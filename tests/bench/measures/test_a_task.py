"""A task as a measure trains it: its record, its targets, its network trained earlier, and how it can end."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bench.errors import UsageError
from bench.host.clock import Clock
from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.runs.weights import WeightsFile
from bench.training.loop import Diverged

TINY = ("model.width=4", "epochs=2", "evaluation.every_epochs=1", "task.samples=60", "task.nearest=5")


@pytest.fixture
def judge(make_job, run_here, tmp_path):
    """Weights of a classifier of digits."""
    path = tmp_path / "judge.pt"
    run_here(replace(make_job("time_to_accuracy", "epochs=1", "target_accuracy=null"), keep_weights=path))
    return WeightsFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def job(make_job, judge, tmp_path):
    """A WGAN on digits with these settings, judged by that classifier."""

    def make(*settings, measure="time_to_accuracy"):
        made = make_job(measure, *TINY, *settings, recipe="wgan_smoke")
        return replace(made, nets={"features": judge}, pictures=tmp_path / "logs" / "run")

    return make


def test_a_target_of_a_quality_is_missed_or_reached(job, run_here):
    end = run_here(job("target_quality=1e-12"))[-1]
    assert (end["status"], end["metrics"]["reached"]) == ("not_reached", False)
    assert "is above the target of 1e-12" in end["reason"]
    end = run_here(job("target_quality=1e9", "stop_at_target=true"))[-1]
    assert (end["status"], end["metrics"]["reached"], end["metrics"]["epochs"]) == ("ok", True, 1.0)
    assert end["metrics"]["time_to_target_s"] > 0


def test_a_network_of_other_data_is_refused_before_training(job, run_here):
    noise = "data={name: random, shape: [1, 8, 8], train_count: 500, test_count: 100}"
    with pytest.raises(UsageError, match="was trained on other data: its name is digits, and here random"):
        run_here(job(noise))


def test_a_file_that_holds_no_weights_or_does_not_say_of_what_is_refused(job, run_here, tmp_path):
    (tmp_path / "none.pt").write_bytes(b"nothing")
    file = WeightsFile(tmp_path / "none.pt", hashlib.sha256(b"nothing").hexdigest())
    with pytest.raises(UsageError, match="no file of weights"):
        run_here(replace(job(), nets={"features": file}))


def test_its_throughput_needs_no_network_that_judges(job, run_here):
    end = run_here(replace(job(measure="throughput"), nets={}))[-1]
    assert end["status"] == "ok"
    assert end["metrics"]["samples_per_s"] > 0
    assert end["metrics"]["step_median_s"] > 0


def test_a_rate_that_is_far_too_high_is_a_divergence(job, run_here):
    with pytest.raises(Diverged, match=r"the loss is nan|not finite"):
        run_here(job("optimizer.lr=1e20", "task.clip=1e20", "task.critic_steps=1", "task.many_critic_steps=1"))


def test_pictures_that_cannot_be_kept_do_not_end_a_training(job, run_here, tmp_path):
    (tmp_path / "logs").write_text("a file where a folder has to be")
    end = run_here(job())[-1]
    assert end["status"] == "ok"
    assert "pictures could not be kept in" in end["reason"]


def test_a_seed_in_a_shared_process_trains_as_in_one_of_its_own(job):
    def told_by(made, told):
        return TimeToAccuracy(made, Clock(), lambda kind, **values: told.append({"kind": kind, **values}))

    alone, shared = [], []
    told_by(replace(job(), seed=1), alone).run()
    with ExitStack() as loaders:
        first = told_by(job(), [])
        first.run(loaders)
        told_by(replace(job(), seed=1), shared).run_after(first)
    assert shared[-1]["metrics"]["frechet_distance"] == alone[-1]["metrics"]["frechet_distance"]
    assert first.metrics["frechet_distance"] != alone[-1]["metrics"]["frechet_distance"]
