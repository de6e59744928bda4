import itertools
from dataclasses import replace

import pytest
import torch

from bench.errors import UsageError
from bench.host import fingerprint, native
from bench.host.fingerprint import lack_of_precision
from bench.measures import assembly, inference
from bench.models import ImpossibleModel
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.runs import weights_file
from bench.runs.weights import WeightsFile
from bench.statistics.sampling import Bounds


@pytest.fixture
def test_loader():
    place = Placement(torch.device("cpu"))
    with make_loader("resident", load_dataset("digits"), "test", 64, Augment(), place, seed=0) as loader:
        yield loader


def test_requests_are_the_first_test_images_in_the_loaders_form(test_loader):
    images, labels = inference._requests(test_loader, 100)
    expected = torch.cat([images for images, _ in test_loader.epoch(0)])[:100]
    assert torch.equal(images, expected)
    assert labels.tolist() == test_loader.images.labels[:100].tolist()
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_small_test_set_is_taken_whole(test_loader):
    images, _ = inference._requests(test_loader, inference.REQUEST_IMAGES)
    assert len(images) == len(test_loader.images) < inference.REQUEST_IMAGES


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


@pytest.fixture
def trained(tmp_path, make_job, run_here):
    """A short training on digits that keeps the average of its weights: the file, and the last thing it told."""
    settings = ["precision=fp32", "epochs=6", "batch_size=32", "target_accuracy=null", "ema={decay: 0.9}"]
    told = run_here(replace(make_job("time_to_accuracy", *settings), keep_weights=tmp_path / "kept.pt"))
    (kept,) = [event["resolved"]["kept_weights"] for event in told if "kept_weights" in event.get("resolved", {})]
    return WeightsFile(tmp_path / kept["file"].rpartition("/")[2], kept["sha256"]), told[-1]


def last(told, kind="end"):
    return [event for event in told if event["kind"] == kind][-1]


def resolved_of(told):
    """The last word on how the recipe was carried out; other facts may be told after it."""
    return [event["resolved"] for event in told if "resolved" in event][-1]


def test_the_accuracy_is_that_of_the_training_whose_weights_are_timed(trained, make_job, run_here):
    weights, end = trained
    accuracy = end["metrics"]["accuracy"]
    assert 0.2 < accuracy < 1
    names = [span["name"] for span in end["spans"]]
    assert names.index("checkpoint") == names.index("final_eval") + 1 == len(names) - 1
    for change in ("inference=null", "inference={fuse: true}"):
        for target, status in ((accuracy, "ok"), (accuracy + 0.01, "not_reached")):
            settings = ["precision=fp32", f"target_accuracy={target}", change]
            # With no time each image still has its turn.
            timeout_s = 0.0 if status == "not_reached" else 60.0
            bounds = Bounds(relative_error=10.0, least_samples=1, least_s=0.0, timeout_s=timeout_s)
            told = run_here(replace(make_job("inference", *settings, sampling=bounds), weights=weights))
            metrics = last(told)["metrics"]
            assert (last(told)["status"], metrics["accuracy"], metrics["reached"]) == (status, accuracy, status == "ok")
            assert metrics["latency_images"] == (360 if status == "ok" else 1)
            resolved = resolved_of(told)
            assert resolved["weights"] == {"file": "kept.pt", "sha256": weights.sha256, "run_id": "kept"}
            assert ("folded_norms" in resolved) == ("fuse" in change)


def test_an_image_and_its_mirror_image_answer_together(tmp_path, make_job, run_here):
    training = ["precision=fp32", "epochs=6", "batch_size=32", "target_accuracy=null"]
    accuracies, weights = {}, None
    for tta in (0, 1):
        job = make_job("time_to_accuracy", *training, f"evaluation={{tta: {tta}}}")
        told = run_here(replace(job, keep_weights=tmp_path / f"{tta}.pt"))
        accuracies[tta] = told[-1]["metrics"]["accuracy"]
        (kept,) = [event["resolved"]["kept_weights"] for event in told if "kept_weights" in event.get("resolved", {})]
        weights = WeightsFile(tmp_path / f"{tta}.pt", kept["sha256"])
    assert accuracies[0] != accuracies[1]
    bounds = Bounds(relative_error=10.0, least_samples=1, least_s=0.0, timeout_s=60.0)
    flops = {}
    for mirror in (False, True):
        settings = ["precision=fp32", "target_accuracy=null", f"inference={{fuse: true, mirror: {mirror}}}"]
        metrics = last(run_here(replace(make_job("inference", *settings, sampling=bounds), weights=weights)))["metrics"]
        assert metrics["accuracy"] == accuracies[mirror]
        flops[mirror] = metrics["forward_flops_per_example"]
    assert flops[True] == 2 * flops[False]


def test_inference_has_settings_of_its_own(make_job, run_here, monkeypatch):
    seen = []
    monkeypatch.setattr(inference.Inference, "_compiled", lambda _, model: seen.append(model) or model)
    wanted = "inference={precision: pure_bf16, memory_format: contiguous, compile: true, threads: 1, fuse: true}"
    told = run_here(make_job("inference", "precision=fp32", wanted))
    resolved = resolved_of(told)
    assert (resolved["precision"], resolved["threads"], resolved["norms_left"]) == ("pure_bf16", 1, 0)
    assert {parameter.dtype for parameter in seen[0].parameters()} == {torch.bfloat16}


needs_vnni = pytest.mark.skipif(lack_of_precision("int8", "cpu") is not None, reason="this CPU has no VNNI")
WIDE = "model={name: speedrun, widths: [32, 32]}"


@needs_vnni
def test_in_int8_the_accuracy_is_nearly_the_trainings(tmp_path, make_job, run_here):
    net = ["precision=fp32", "target_accuracy=null", WIDE, "winograd=auto"]
    short = ["epochs=6", "batch_size=32", "optimizer.lr=0.01"]
    told = run_here(replace(make_job("time_to_accuracy", *net, *short), keep_weights=tmp_path / "kept.pt"))
    weights = WeightsFile(tmp_path / "kept.pt", resolved_of(told)["kept_weights"]["sha256"])
    trained = last(told)["metrics"]["accuracy"]
    assert trained > 0.3
    bounds = Bounds(relative_error=10.0, least_samples=1, least_s=0.0, timeout_s=60.0)
    job = make_job("inference", *net, "inference={precision: int8, fuse: true}", sampling=bounds)
    told = run_here(replace(job, weights=weights))
    assert last(told)["metrics"]["accuracy"] == pytest.approx(trained, abs=0.03)
    resolved = resolved_of(told)
    # All but the whitening and the one behind it.
    assert (resolved["precision"], resolved["quantized_convs"], resolved["convs_left"]) == ("int8", 3, 2)
    assert "winograd" not in resolved


@needs_vnni
def test_in_int8_a_net_without_wide_convs_is_refused(make_job, run_here):
    with pytest.raises(ImpossibleModel, match=r"inference.precision: int8: no conv .* 32 or more input.*use pure_bf16"):
        run_here(make_job("inference", "inference={precision: int8}"))


def test_int8_on_a_machine_that_cannot_is_refused(make_job, run_here, monkeypatch):
    monkeypatch.setattr(fingerprint, "_cpu", lambda: {"cpu_flags": ["avx2"]})
    with pytest.raises(UsageError, match="int8 needs a CPU with one of amx_int8, avx512_vnni, avx_vnni; use fp32"):
        run_here(make_job("inference", WIDE, "inference={precision: int8}"))
    assert lack_of_precision("int8", "cuda") == "inference.precision: int8 is made for a CPU; on a GPU use pure_fp16"


@pytest.mark.usefixtures("cxx")
def test_winograd_is_for_training_and_inference_alike_and_for_each_alone(tmp_path, make_job, run_here):
    net = ["precision=fp32", "target_accuracy=null", "model={name: speedrun, widths: [8, 16]}", "winograd=true"]
    short = ["epochs=6", "batch_size=32", "optimizer.lr=0.01"]
    told = run_here(replace(make_job("time_to_accuracy", *net, *short), keep_weights=tmp_path / "kept.pt"))
    resolved = resolved_of(told)
    weights = WeightsFile(tmp_path / "kept.pt", resolved["kept_weights"]["sha256"])
    assert resolved["winograd"] == 2
    accuracy, flops = (last(told)["metrics"][key] for key in ("accuracy", "forward_flops_per_example"))
    assert accuracy > 0.2
    bounds = Bounds(relative_error=10.0, least_samples=1, least_s=0.0, timeout_s=60.0)
    for said, convs in (("fuse: true", 2), ("winograd: false", None), ("threads: 1, winograd: auto", 2)):
        settings = [*net, f"inference={{{said}}}"]
        told = run_here(replace(make_job("inference", *settings, sampling=bounds), weights=weights))
        metrics = last(told)["metrics"]
        assert resolved_of(told).get("winograd") == convs
        assert metrics["accuracy"] == pytest.approx(accuracy, abs=1 / 360)  # one rounding may decide an image
        assert (metrics["forward_flops_per_example"] == flops) is (convs is not None)


def test_without_a_compiler_a_run_says_that_it_went_without_winograd(make_job, run_here, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    native.load.cache_clear()
    settings = ["target_accuracy=null", "model={name: speedrun, widths: [8, 16]}", "winograd=auto"]
    end = last(run_here(make_job("inference", *settings)))
    assert end["status"] == "ok"
    assert end["reason"].endswith("without winograd: no C++ compiler: no-such-compiler not found")
    native.load.cache_clear()


def test_weights_of_another_network_are_refused(trained, make_job, run_here):
    weights, _ = trained
    with pytest.raises(UsageError, match=r"body.0.0.weight is \[4, 1, 3, 3\], and here \[8, 1, 3, 3\].*run kept"):
        run_here(replace(make_job("inference", "model.width=8"), weights=weights))


def test_weights_that_cannot_be_kept_are_said_and_end_no_run(tmp_path, make_job, run_here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights_file, "save", full)
    settings = ["epochs=0.2", "target_accuracy=null"]
    end = run_here(replace(make_job("time_to_accuracy", *settings), keep_weights=tmp_path / "kept.pt"))[-1]
    assert end["status"] == "ok"
    assert end["reason"].endswith("kept.pt: No space left on device")
