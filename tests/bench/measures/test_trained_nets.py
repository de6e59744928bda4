"""Networks trained earlier, in a training that learns from one."""

from dataclasses import replace

import pytest

from bench.errors import UsageError
from bench.ingredients.distillation import Distillation
from bench.runs.weights import WeightsFile, find


@pytest.fixture
def trained(make_job, run_here, tmp_path):
    """The weights of a short training on digits, and what it told of them."""
    path = tmp_path / "20260101T000000.000000Z-0123abcd.pt"
    run_here(replace(make_job("time_to_accuracy", "epochs=1", "target_accuracy=null"), keep_weights=path))
    return find(str(path), tmp_path)


def taught_by(weights: WeightsFile, make_job, *settings: str, measure="time_to_accuracy"):
    told = (f"distillation.teacher={weights.path}", "epochs=1", "target_accuracy=null", *settings)
    return replace(make_job(measure, *told), nets={"teacher": weights})


def metrics(told):
    return next(one["metrics"] for one in reversed(told) if "metrics" in one)


def test_a_student_learns_from_its_teacher_and_both_are_counted(trained, make_job, run_here):
    alone = metrics(run_here(make_job("time_to_accuracy", "epochs=1", "target_accuracy=null")))
    told = run_here(taught_by(trained, make_job, "distillation.mirror=true", "model.width=8"))
    wider = metrics(run_here(make_job("time_to_accuracy", "epochs=1", "target_accuracy=null", "model.width=8")))
    student = metrics(told)
    of_teacher = 2 * student["examples"] * alone["forward_flops_per_example"]
    assert student["train_flops"] == wider["train_flops"] + of_teacher
    assert student["cross_entropy"] != wider["cross_entropy"]


def test_the_throughput_is_that_of_steps_with_the_teacher(trained, make_job, run_here, monkeypatch):
    asked = []
    monkeypatch.setattr(Distillation, "mix", lambda self, batch, position: asked.append(position) or batch)
    run_here(taught_by(trained, make_job, measure="throughput"))
    assert asked


def test_a_teacher_of_other_data_is_refused(trained, make_job, run_here):
    shape = ("data.name=random", "data.shape=[1, 8, 8]", "data.classes=4")
    with pytest.raises(UsageError, match=r"distillation\.teacher: .* was trained on other data"):
        run_here(taught_by(trained, make_job, *shape))


def test_a_teacher_whose_images_were_normalised_otherwise_is_refused(trained, make_job, run_here, monkeypatch):
    monkeypatch.setattr("bench.measures.trained_nets._check_seen", lambda *_: None)
    shape = ("data.name=random", "data.shape=[1, 8, 8]", "data.classes=10", "data.train_count=64", "data.test_count=64")
    with pytest.raises(UsageError, match=r"distillation\.teacher: .* normalised by other numbers"):
        run_here(taught_by(trained, make_job, *shape))
