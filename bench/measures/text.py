"""Refuses what does not suit a text, before anything is trained."""

from __future__ import annotations

from torch import nn

from bench.errors import UsageError
from bench.models import ImpossibleModel
from bench.pipelines.dataset import Dataset
from bench.spec.recipe import Recipe


def check_suits_text(recipe: Recipe) -> None:
    """Raise `UsageError` for an ingredient that needs images or selects examples, neither of which a text has."""
    asked: dict[str, object] = {key: True for key, one in recipe.ingredients.items() if not one.suits_text}
    asked |= {
        "evaluation.tta": recipe.evaluation.tta or recipe.evaluation.epoch_tta,
        "devices": recipe.device_count > 1,
    }
    for key, value in asked.items():
        if value:
            raise UsageError(f"{key}: {recipe.data.name} is a text, which this does not suit; leave it out")


def check_reads(name: str, model: nn.Module, data: Dataset) -> None:
    """Raise `ImpossibleModel` where one of our networks reads text and the data is images, or the other way round.

    A network that reads text says by `each_token` whether it answers after each token, as the labels then must be, and
    by `steps` how many tokens it reads, where that is fixed.
    """
    each_token, is_text = getattr(model, "each_token", None), data.streams is not None
    if (each_token is not None) != is_text:
        reads, kind = ("text", "images") if each_token is not None else ("images", "a text")
        raise ImpossibleModel(f"model {name!r} reads {reads}, and {data.name} is {kind}")
    if not is_text:
        return
    if each_token != (data.train.labels.ndim == 2):
        when, predict = ("after each token", "every") if each_token else ("after the last token alone", "last")
        raise ImpossibleModel(f"model {name!r} answers {when}: set data.predict to {predict}")
    steps, width = getattr(model, "steps", None), data.image_shape[-1]
    if steps not in (None, width):
        raise ImpossibleModel(f"model {name!r} reads {steps} tokens, not {width}: set data.steps to {steps}")
