"""Recipes on noise, with few batches of their own size. Averages of their weights act in every step."""

from __future__ import annotations

from collections.abc import Iterable

from bench.pipelines.datasets import DATASETS
from bench.spec import recipes
from bench.spec.recipe import Recipe

STEPS_PER_EPOCH, EPOCHS = 3, 2


def with_few_batches(name: str, settings: Iterable[str]) -> Recipe:
    """The recipe's on_cuda form on noise of its data's shape, on one device, for EPOCHS epochs at most."""
    whole = recipes.load(name, "cuda", settings)
    info = DATASETS[whole.data.name]
    images = f"train_count: {STEPS_PER_EPOCH * whole.batch_size}, test_count: {whole.evaluation.batch_size}"
    noise = f"{{name: random, shape: {list(info.image_shape)}, classes: 10, {images}}}"
    changes = {
        **({} if info.is_text else {"data": noise}),
        "epochs": min(EPOCHS, whole.epochs),
        "target_accuracy": "null",
        "stop_at_target": "false",
        "devices": "null",
        "batch_per": "null",
        "warm_up_steps": min(whole.warm_up_steps, 1),
        **{f"{name}.every": 1 for name in ("ema", "lookahead") if getattr(whole, name) is not None},
    }
    return recipes.load(name, "cuda", [*settings, *(f"{key}={value}" for key, value in changes.items())])
