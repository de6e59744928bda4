import pytest
import torch

from bench.errors import UsageError
from bench.pipelines.datasets import load_dataset
from bench.profiling.footprint import footprint
from bench.profiling.workbench import Workbench
from bench.spec import recipes
from bench.training.activations import KeptActivations

FP32 = ["precision=fp32", "model.width=4", "threads=1"]


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_what_is_scaled_up_is_what_the_whole_batch_keeps():
    recipe = recipes.load("digits", "cpu", [*FP32, "batch_size=48"])
    counted = footprint(recipe, "cpu")
    workbench = Workbench(recipe, "cpu", load_dataset("digits"))
    images, labels = workbench.batch(48)
    with KeptActivations(workbench.model.parameters()) as kept:
        torch.nn.functional.cross_entropy(workbench.model(images), labels)
    assert counted.activation_bytes == pytest.approx(kept.total_bytes, rel=0.02)
    assert counted.batch_bytes == images.nbytes + labels.nbytes


def test_parameters_flops_and_state_of_sgd():
    counted = footprint(recipes.load("digits", "cpu", FP32), "cpu")
    assert counted.gradient_bytes == 4 * counted.trainable == counted.optimizer_bytes
    assert counted.weight_bytes > 4 * counted.parameters  # batch norm's statistics come on top
    # Each layer takes two more products for its gradients, but the first needs none for its input.
    assert 2.5 < counted.training_flops_per_example / counted.forward_flops_per_example < 3
    assert counted.optimizer_flops_per_step == 0
    assert counted.steps == 20 * (1437 // 64)
    assert counted.training_flops == counted.steps * 64 * counted.training_flops_per_example
    assert counted.total_bytes > counted.weight_bytes + counted.activation_bytes


def test_muons_products_count_by_the_step_and_adamws_state_twice():
    muon = ["optimizer={name: muon, lr: 0.1}", "optimizer.groups={biases: {name: sgd, lr: 0.1}, "
            "norm_weights: {name: sgd, lr: 0.1}, head: {name: sgd, lr: 0.1}}", "schedule=linear"]  # fmt: skip
    assert footprint(recipes.load("digits", "cpu", [*FP32, *muon]), "cpu").optimizer_flops_per_step > 0
    warmed_up = footprint(recipes.load("digits", "cpu", [*FP32, *muon, "lr_warm_up.epochs=1"]), "cpu")
    assert warmed_up.optimizer_flops_per_step > 0
    adamw = footprint(recipes.load("digits", "cpu", [*FP32, "optimizer={name: adamw, lr: 0.1}"]), "cpu")
    assert adamw.optimizer_bytes >= 8 * adamw.trainable


def test_an_average_of_half_precision_weights_is_kept_in_fp32():
    ema, lookahead = (
        footprint(recipes.load("digits", "cpu", [*FP32, "precision=pure_bf16", setting]), "cpu").average_bytes
        for setting in ("ema.decay=0.9", "lookahead.every=5")
    )
    counted = footprint(recipes.load("digits", "cpu", [*FP32, "precision=pure_bf16"]), "cpu")
    assert counted.average_bytes == 0
    assert ema > 4 * counted.parameters > 1.5 * lookahead > 3 * counted.parameters


def test_a_network_that_cannot_be_built_is_the_users_mistake():
    with pytest.raises(UsageError, match="widht"):
        footprint(recipes.load("digits", "cpu", ["model.widht=4"]), "cpu")


def test_a_text_is_counted_by_its_tokens():
    counted = footprint(recipes.load("counting", "cpu"), "cpu")
    assert counted.parameters == 54_950
    # Two layers of three gates, twice 64 by 64 each, and the way out to 38 words: a product is two operations.
    of_a_token = 2 * (2 * 3 * 2 * 64 * 64 + 64 * 38)
    assert counted.forward_flops_per_example == 20 * of_a_token
