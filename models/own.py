"""A user's network: the arguments of its builder, and the check of its output shape.

Its builder is a class of `nn.Module` or a function that returns one. It takes the number of classes as `num_classes`
(or `classes`), and if it wants them the channels as `in_channels` and the pixels of a side as `image_size`. Its other
arguments are options of the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from bench.errors import UsageError
from bench.models.arguments import FROM_DATA
from bench.registry.registry import Found
from bench.registry.signature import parameters_of, takes_any

IMAGES = 2


def build_own(
    found: Found, builder: Callable[..., Any], from_data: Mapping[str, int], options: Mapping[str, Any]
) -> nn.Module:
    """The network. Raises `UsageError` for a builder that takes no number of classes, or returns no network."""
    if isinstance(builder, nn.Module) or not callable(builder):
        raise UsageError(
            f"{found.label} is a {type(builder).__name__}, not what builds a network; name its class, or a function "
            "that returns a new one, so that every run begins anew"
        )
    parameters = parameters_of(builder)
    arguments = {key: value for fact, value in from_data.items() for key in FROM_DATA[fact] if key in parameters}
    if not any(key in arguments for key in FROM_DATA["classes"]):
        if not takes_any(parameters):
            raise UsageError(
                f"{found.label}({', '.join(parameters)}) does not take num_classes, so it cannot be built for the "
                "data's classes; add it as a parameter, or name a function that does: def net(num_classes): …"
            )
        arguments["num_classes"] = from_data["classes"]
    with found.errors():
        model = builder(**arguments, **options)
    if not isinstance(model, nn.Module):
        raise UsageError(f"{found.label} returned a {type(model).__name__}; a network is a torch.nn.Module")
    return model


def check_output(found: Found, model: nn.Module, image_shape: tuple[int, int, int], classes: int) -> None:
    """Raise `UsageError` unless the network maps images [B, *image_shape] to logits [B, classes].

    The network and torch's random state are left unchanged.
    """
    images, was_training = torch.zeros(IMAGES, *image_shape), model.training
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.eval()
    with torch.random.fork_rng([]), torch.no_grad(), found.errors():
        answer = model(images)
    model.train(was_training)
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    shape = list(answer.shape) if isinstance(answer, torch.Tensor) else f"a {type(answer).__name__}"
    if shape != [IMAGES, classes]:
        raise UsageError(
            f"{found.label}: {IMAGES} images {list(images.shape)} become {shape}; a network returns logits "
            f"[B, classes], here {[IMAGES, classes]}"
        )
