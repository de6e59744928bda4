"""Saves a network's weights atomically to a file, and loads them into a network that they fit."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.files import replacing
from bench.runs.weights import WeightsFile

FORMAT = "bench weights 1"
BATCH_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class Weights:
    """Parameters and buffers by name, on the CPU; `origin` says which run made them, and is empty if unknown."""

    state: dict[str, Tensor]
    origin: dict[str, str] = field(default_factory=dict)


def save(weights: Weights, path: Path) -> WeightsFile:
    """Write the file atomically: it is complete on the disk before it replaces an earlier one.

    Raises OSError if it cannot be written.
    """
    memory = io.BytesIO()
    torch.save({"format": FORMAT, "origin": weights.origin, "state": weights.state}, memory)
    content = memory.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(content)
    return WeightsFile(path, hashlib.sha256(content).hexdigest())


def load(file: WeightsFile) -> Weights:
    """The weights in a file written by `save`, or in a bare state dict. No code in the file is executed.

    Raises `UsageError` for a file that cannot be read, has changed since it was chosen, is truncated, or is something
    else.
    """
    path = file.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise UsageError(f"{path}: was replaced while it was wanted; run the command again")
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # any error of a parser of pickles and archives on bytes that are neither
        raise UsageError(
            f"{path}: this is no file of weights, or a torn one; give one that `bench run RECIPE --keep-weights` "
            "wrote, or torch.save of a state dict"
        ) from None
    own = isinstance(found, Mapping) and found.get("format") == FORMAT
    state, origin = (found.get("state"), found.get("origin")) if own else (found, {})
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path}: holds no weights; a state dict maps names to tensors")
    return Weights(dict(state), dict(origin))


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A network's current parameters and buffers, copied to the CPU, each in its own number format."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


def put_into(model: nn.Module, weights: Weights, path: Path) -> None:
    """Load the weights into the network, converted to its number formats; errors name `path`.

    Batch norm's counters of batches may be missing on either side. Raises `UsageError` with the first name or shape
    that differs.
    """
    if difference := _first_difference(_uncounted(model.state_dict()), _uncounted(weights.state)):
        made = {name: weights.origin[name] for name in ("run_id", "model") if name in weights.origin}
        whose = f" They are of run {made['run_id']}, model {made['model']}." if len(made) == 2 else ""
        raise UsageError(
            f"{path}: these weights do not fit this network: {difference}.{whose} "
            "Give the model's options that they were trained with, by --set model.OPTION=VALUE"
        )
    # Not strict, because torch would add missing counters to the state and then find that they do not fit.
    model.load_state_dict(weights.state, strict=False)


def _uncounted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith(BATCH_COUNTER)}


def _first_difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str | None:
    for name, value in own.items():
        if name not in given:
            return f"they have no {name}, which here is {list(value.shape)}"
        if given[name].shape != value.shape:
            return f"{name} is {list(given[name].shape)}, and here {list(value.shape)}"
    return next((f"they have {name}, which this network has not" for name in given if name not in own), None)
