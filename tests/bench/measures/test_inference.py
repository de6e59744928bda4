import itertools

import pytest
import torch

from bench import assembly
from bench.measures import inference
from pipelines.augment import Augment
from pipelines.datasets import load_dataset
from pipelines.loader import Placement
from pipelines.loaders import make_loader


@pytest.fixture
def test_loader():
    place = Placement(torch.device("cpu"))
    with make_loader("resident", load_dataset("digits"), "test", 64, Augment(), place, seed=0) as loader:
        yield loader


def test_requests_are_the_first_test_images_in_the_loaders_form(test_loader, monkeypatch):
    monkeypatch.setattr(inference, "REQUEST_IMAGES", 100)
    images = inference._requests(test_loader)
    expected = torch.cat([images for images, _ in test_loader.epoch(0)])[:100]
    assert torch.equal(images, expected)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_small_test_set_is_taken_whole(test_loader):
    assert len(inference._requests(test_loader)) == len(test_loader.images) < inference.REQUEST_IMAGES


def test_batches_are_full_and_come_round_again():
    batches = list(itertools.islice(inference._in_batches(torch.arange(10), 4), 3))
    assert [batch.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]


def test_the_network_is_in_evaluation_mode_and_keeps_no_gradients(monkeypatch, make_job, run_here):
    modes, sizes = set(), set()
    build_model = assembly.build_model

    def watched(*args):
        model = build_model(*args)

        def look(_, inputs):
            modes.add((model.training, torch.is_grad_enabled()))
            sizes.add(len(inputs[0]))

        model.register_forward_pre_hook(look)
        return model

    monkeypatch.setattr(assembly, "build_model", watched)
    metrics = run_here(make_job("inference"))[-1]["metrics"]
    assert modes == {(False, False)}
    assert sizes == {1, 32, 256}
    assert metrics["latency_min_ms"] <= metrics["latency_p50_ms"] <= metrics["latency_p95_ms"]
    assert metrics["latency_p95_ms"] <= metrics["latency_p99_ms"]
    # What is paid once a batch is shared by its images.
    assert metrics["samples_per_s_at_256"] > metrics["samples_per_s_at_1"]


def test_batch_sizes_end_at_the_test_set(make_job, run_here):
    data = "data={name: random, shape: [1, 8, 8], train_count: 64, test_count: 20}"
    metrics = run_here(make_job("inference", data, "target_accuracy=null"))[-1]["metrics"]
    sizes = [key for key in metrics if key.startswith("samples_per_s_at_")]
    assert sizes == ["samples_per_s_at_1", "samples_per_s_at_20"]


@pytest.mark.parametrize("precision", ["bf16", "pure_bf16"])
def test_half_precision_is_the_recipes(precision, monkeypatch, make_job, run_here):
    seen = set()
    build_model = assembly.build_model

    def watched(*args):
        model = build_model(*args)
        model.register_forward_hook(lambda _, inputs, logits: seen.add((inputs[0].dtype, logits.dtype)))
        return model

    monkeypatch.setattr(assembly, "build_model", watched)
    end = run_here(make_job("inference", f"precision={precision}"))[-1]
    assert end["status"] == "ok"
    assert seen == {(torch.bfloat16, torch.bfloat16)}
