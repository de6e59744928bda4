"""The config values of training's ingredients: what they refuse, and that those which are off change no cell."""

from __future__ import annotations

import re

import pytest

from bench.errors import UsageError
from bench.runs.run import cell_id
from bench.spec import recipes
from bench.spec.recipe import Recipe
from bench.spec.recipes import identify

MINIMAL = """data: cifar10
model: speedrun
batch_size: 512
epochs: 10
optimizer: {name: sgd, lr: 0.1}
"""
SGD = {"name": "sgd", "momentum": 0.85, "nesterov": True}
OFF = (
    "cutmix",
    "image_sizes",
    "ghost_batch",
    "batch_sizes",
    "accumulate",
    "lr_warm_up",
    "ema",
    "lookahead",
    "drop_easy",
    "antialias",
    "half_norms",
    "proxy",
    "winograd",
    "fused_activations",
    "huge_pages",
)

GRAPH = "warm_up_steps: 3\ncuda_graph: true"


@pytest.fixture
def write(tmp_path):
    def write(text: str, without: str | None = None) -> str:
        path = tmp_path / "mine.yaml"
        kept = [line if line.split(":")[0] != without else "" for line in MINIMAL.splitlines()]
        path.write_text("\n".join(kept) + "\n" + text)
        return str(path)

    return write


def refusal(path: str, *settings: str) -> str:
    with pytest.raises(UsageError) as caught:
        recipes.load(path, "cpu", settings)
    return str(caught.value)


def test_what_is_off_changes_no_cell():
    """A recorded run keeps its cell: the published one of cifar94 was made when no such key was known."""
    config = Recipe.model_validate(
        {
            "data": "cifar10",
            "augment": {"flip": "alternating", "shift_pixels": 2, "pad": "reflect"},
            "model": {"name": "speedrun", "logit_scale": 0.00390625, "unit_head": True},
            "precision": "bf16",
            "batch_size": 2000,
            "epochs": 10,
            "target_accuracy": 0.94,
            "evaluation": {"tta": 2, "epoch_tta": 0, "batch_size": 1000},
            "loss": {"label_smoothing": 0.2, "reduction": "sum"},
            "optimizer": {
                "name": "muon",
                "lr": 0.24,
                "momentum": 0.6,
                "newton_schulz_steps": 3,
                "groups": {
                    "biases": SGD | {"lr": 0.053, "weight_decay": 0.0755},
                    "whiten_bias": SGD | {"lr": 0.053, "weight_decay": 0.0755, "epochs": 3},
                    "head": SGD | {"lr": 0.67, "weight_decay": 0.00597},
                },
            },
            "schedule": "linear",
        }
    ).config()
    assert identify(config, "cpu", "time_to_accuracy")[1] == "f89d295737b32cb6"
    assert all(config[key] is None for key in OFF)
    assert config["optimizer"]["decoupled"] is None


@pytest.mark.parametrize(
    "setting",
    [
        "cutmix={}",
        "ema={decay: 0.9}",
        "ghost_batch=32",
        "accumulate=2",
        "lr_warm_up={epochs: 1}",
        "drop_easy={kept: 0.5, start: 0.4}",
        "image_sizes=[{pixels: 20, until: 0.5}]",
        "batch_sizes={stages: [{examples: 128, until: 0.5}], scale_lr: true}",
        "optimizer.decoupled=true",
        "schedule={name: linear, until: 0.9}",
        "schedule=cosine",
    ],
)
def test_what_is_on_is_another_cell(write, setting):
    off, on = recipes.load(write(""), "cpu"), recipes.load(write(""), "cpu", [setting])
    assert cell_id(off.config()) != cell_id(on.config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("antialias: false", r"7: antialias: says how image_sizes are resized, and there are none"),
        ("antialias: 1", r"7: antialias is 1"),
        ("half_norms: true", r"7: half_norms: auto keeps weights in fp32, and batch norm with them; set precision to"),
        ("half_norms: true\nprecision: fp16", r"7: half_norms: fp16 keeps weights in fp32"),
        ("evaluation: {equal_views: true}", r"7: evaluation.*: the views of level 1 are equal already"),
        ("evaluation: {equal_views: true, tta: 1}", r"7: evaluation.*: .*needs tta or epoch_tta of 2"),
        ("schedule: {name: linear, until: 0}", r"7: schedule.until is 0: input should be greater than 0"),
        (
            "schedule: {name: linear, after: 0.5, until: 0.4}",
            r"schedule.after: the line begins at 0.5 of the training, which has to be before 0.4",
        ),
        ("optimizer: {lr: 0.1, unit_filters_every: [2, 17]}", r"optimizer.unit_filters_every: sgd has no such option"),
        (
            "optimizer: {name: muon, lr: 0.1, unit_filters: false, unit_filters_every: [2, 17]}",
            r"optimizer.unit_filters_every: nothing is rescaled where unit_filters is false",
        ),
        ("optimizer: {name: muon, lr: 0.1, unit_filters_every: [0, 17]}", r"unit_filters_every.0 is 0"),
        ("optimizer: {name: muon, lr: 0.1, newton_schulz_coefficients: [3, -4]}", r"newton_schulz_coefficients"),
        (
            "optimizer: {name: muon, lr: 0.1, newton_schulz_form: grams}",
            r"7: optimizer.newton_schulz_form is 'grams' \(did you mean 'gram'\?\); allowed: 'gram'",
        ),
        ("optimizer: {lr: 0.1, newton_schulz_form: gram}", r"optimizer.newton_schulz_form: sgd has no such option"),
        ("ghost_batch: 1", r"7: ghost_batch is 1: input should be greater than or equal to 2"),
        ("accumulate: 3", r"7: accumulate: 3 equal parts cannot be made of a batch_size of 512"),
        ("ema: {decay: 1}", r"7: ema.decay is 1: input should be less than 1"),
        ("lr_warm_up: {epochs: 11}", r"lr_warm_up.epochs: 11 is more than the 10 epochs"),
        ("image_sizes: []", r"7: image_sizes is \[\]: list should have at least 1 item"),
        ("image_sizes: [{pixels: 20, until: 1.5}]", r"7: image_sizes.0.until is 1.5: input should be less than or eq"),
        (
            "image_sizes:\n- {pixels: 20, until: 0.5}\n- {pixels: 24, until: 0.4}",
            r"9: image_sizes.1.until: 0.4 should come after 0.5, the end of the stage before",
        ),
        ("image_sizes: [{pixles: 20, until: 0.5}]", r"7: unknown key 'image_sizes.0.pixles' \(did you mean 'pixels'"),
        (
            "batch_sizes:\n  scale_lr: true\n  stages:\n  - {examples: 100, until: 0.5}",
            r"10: batch_sizes.stages.0.examples: 100 does not divide the batch_size of 512, which the loader",
        ),
        ("batch_sizes: {stages: [{examples: 128, until: 0.5}]}", r"7: the key 'batch_sizes.scale_lr' is missing"),
        (
            "precision: pure_fp16\noptimizer:\n  lr: 0.1\n  groups:\n    head: {name: adamw, lr: 0.1}",
            r"11: optimizer.groups.head.name: adamw divides by squares",
        ),
        ("schedule: {name: one_cycle, max_momentum: 1}", r"7: schedule.max_momentum is 1: input should be less than 1"),
        ("optimizer: {name: adamw, lr: 0.1, betas: [1, 0.9]}", r"7: optimizer.betas.0 is 1: input should be less than"),
        ("drop_easy: {kept: 1, start: 0.4}", r"7: drop_easy.kept is 1: input should be less than 1"),
        ("drop_easy: {kept: 0.5}", r"7: the key 'drop_easy.start' is missing"),
        ("cutmix: {}\ndrop_easy: {kept: 0.5, start: 0}", r"8: drop_easy: the loss of an image that cutmix made of two"),
        ("devices: 2\ndrop_easy: {kept: 0.5, start: 0}", r"8: drop_easy: each device knows the losses of its own"),
        ("evaluation: {tta_below: 0.9}", r"7: evaluation.*: says who gets further views; it needs tta or epoch_tta"),
        ("evaluation: {tta: 1, tta_below: 1}", r"7: evaluation.tta_below is 1: input should be less than 1"),
        ("cuda_graph: true", r"7: cuda_graph: needs warm_up_steps of at least 1"),
        (GRAPH, r"8: cuda_graph: every step is the same .* fp16, which auto means on a GPU, asks after each"),
        (GRAPH + "\nprecision: bf16\nproxy: {kept: 0.5, model: {}}", r"8: cuda_graph: .* does not go with proxy"),
        (GRAPH + "\nprecision: bf16\ncutmix: {}", r"8: cuda_graph: .* does not go with cutmix: mixes each batch"),
        (GRAPH + "\nprecision: bf16\nschedule: one_cycle", r"8: cuda_graph: .* one_cycle changes the momentum"),
        (GRAPH + "\nprecision: bf16\noptimizer: {name: adamw, lr: 0.1}", r"8: cuda_graph: .* adamw counts its steps"),
        ("cutmix: {alpha: 0}", r"7: cutmix.alpha is 0: input should be greater than 0"),
        ("schedule: {name: cosine, end: 2}", r"7: schedule.end is 2: input should be less than or equal to 1"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(write, change, message):
    assert re.search(
        message, refusal(write("\n" + change + "\n", without="optimizer" if "optimizer:" in change else None))
    )


def test_parts_of_every_batch_size_have_to_be_equal(write):
    path = write("accumulate: 4\nbatch_sizes: {stages: [{examples: 2, until: 0.5}], scale_lr: false}\n")
    assert "accumulate: 4 equal parts cannot be made of a batch_sizes.stages.0.examples of 2" in refusal(path)


@pytest.mark.parametrize(
    "setting", ["antialias=true", "half_norms=false", "fused_activations=false", "huge_pages=false"]
)
def test_what_is_said_to_be_as_usual_is_the_same_cell(write, setting):
    off, said = recipes.load(write(""), "cpu"), recipes.load(write(""), "cpu", [setting])
    assert cell_id(off.config()) == cell_id(said.config())


def test_the_form_of_newton_schulz_makes_another_cell_unless_it_is_null():
    plain, null, gram = (
        recipes.load("speedrun94", "cpu", some)
        for some in ([], ["optimizer.newton_schulz_form=null"], ["optimizer.newton_schulz_form=gram"])
    )
    assert cell_id(plain.config()) == cell_id(null.config()) != cell_id(gram.config())
    assert gram.config()["optimizer"]["newton_schulz_form"] == "gram"


def test_a_null_option_of_what_has_a_name_is_absent():
    drawn, null = (recipes.load("speedrun94", "cpu", some) for some in ([], ["model.whiten_bias=null"]))
    assert "whiten_bias" in drawn.model.options
    assert "whiten_bias" not in null.model.options
    assert cell_id(null.config()) != cell_id(drawn.config())
