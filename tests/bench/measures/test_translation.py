"""CycleGAN on the loop of all trainings: real runs of it on folders, on noise and on real digits, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.errors import MissingError, UsageError
from bench.measures.base import as_refusal
from bench.models import ImpossibleModel
from bench.pipelines.errors import DataCorrupt

TINY = ("model.filters=4", "model.blocks=1", "batch_size=2", "epochs=2", "threads=1", "target_quality=null")


@pytest.fixture
def folder(tmp_path):
    """Four folders of noise, the second domain darker."""
    draws = np.random.default_rng(0)
    for name, count, most in (("trainA", 4, 256), ("trainB", 6, 100), ("testA", 2, 256), ("testB", 3, 100)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            pixels = draws.integers(0, most, (34, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def job(make_job, folder, *settings, measure="time_to_accuracy", size="image_size: 28, crop: 24"):
    data = f"data={{name: {folder}, {size}}}"
    return make_job(measure, *TINY, data, "augment={flip: random, shift_pixels: 2}", *settings, recipe="cyclegan")


def facts_of(told):
    return {key: value for event in told if event["kind"] == "facts" for key, value in event.items()}


def test_two_folders_are_translated_and_judged_by_what_comes_back(make_job, run_here, folder):
    told = run_here(job(make_job, folder))
    end, rows = told[-1], [event for event in told if event["kind"] == "epoch"]
    assert end["status"] == "ok"
    metrics = end["metrics"]
    assert 0 < metrics["cycle_error"] < 1
    assert 0 < metrics["untrained_cycle_error"] < 1
    assert "true_error" not in metrics
    assert (metrics["steps"], metrics["examples"]) == (6, 12)  # two epochs as long as the longer folder
    assert facts_of(told)["resolved"]["quality"] == {"name": "cycle_error", "better": "lower"}
    assert metrics["cycle_error"] == rows[-1]["cycle_error"]
    assert {"fooling_loss", "cycle_loss", "identity_loss", "critic_loss", "generator_loss"} <= set(rows[0])
    assert rows[1]["lr"] < rows[0]["lr"] == 2e-4


def test_a_target_is_reached_by_a_smaller_error(make_job, run_here, folder):
    settings = ("target_quality=0.99", "stop_at_target=true")
    end = run_here(job(make_job, folder, *settings))[-1]
    assert (end["status"], end["metrics"]["epochs"], end["metrics"]["reached"]) == ("ok", 1, True)
    end = run_here(job(make_job, folder, "target_quality=0.001"))[-1]
    assert end["status"] == "not_reached"
    assert "is above the target of 0.001" in end["reason"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_throughput_needs_no_data(make_job, run_here, precision):
    data = "data={name: random, shape: [3, 24, 24], classes: 2, train_count: 8, test_count: 2}"
    end = run_here(make_job("throughput", *TINY, data, f"precision={precision}", recipe="cyclegan"))[-1]
    assert end["metrics"]["samples_per_s"] > 0
    assert end["metrics"]["peak_host_bytes"] > 0


def test_equal_seeds_train_alike_and_another_does_not(make_job, run_here, folder):
    first, again = (run_here(job(make_job, folder))[-1]["metrics"] for _ in range(2))
    assert first["cycle_error"] == again["cycle_error"]
    assert first["loss"] == again["loss"]


def test_a_domain_of_one_image_is_refused(make_job, run_here, folder):
    for file in list((folder / "trainA").iterdir())[1:]:
        file.unlink()
    with pytest.raises(DataCorrupt, match=r"photos-\w+: domain A has 1 training image, and needs 2 or more") as error:
        run_here(job(make_job, folder))
    assert isinstance(as_refusal(error.value), MissingError)


def test_an_image_that_cannot_be_read_is_named(make_job, run_here, folder):
    (folder / "trainB" / "5.png").write_text("no image")
    with pytest.raises(DataCorrupt, match=r"trainB/5.png cannot be read as an image") as error:
        run_here(job(make_job, folder))
    assert isinstance(as_refusal(error.value), MissingError)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("image_size: 30", "images of 30 pixels: .* multiple of 4 from 24 on, as 32 is"),
        ("image_size: 20", "images of 20 pixels: .* as 24 is"),
    ],
)
def test_sizes_that_do_not_divide_are_refused_with_the_nearest_that_does(make_job, run_here, folder, size, said):
    with pytest.raises(ImpossibleModel, match=said) as error:
        run_here(job(make_job, folder, size=size))
    assert isinstance(as_refusal(error.value), UsageError)


def test_digits_are_recoloured_better_than_by_untrained_nets(make_job, run_here, real_data_dir, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(real_data_dir))
    data = "data={name: mnist_recoloured, to: inverted, train_count: 160, test_count: 20}"
    settings = (data, "model.filters=4", "model.blocks=1", "threads=1", "optimizer.lr=0.004")
    end = run_here(make_job("time_to_accuracy", *settings, recipe="cyclegan_smoke"))[-1]
    assert end["metrics"]["true_error"] < 0.7 * end["metrics"]["untrained_true_error"]
