"""The state of a training after an epoch: all that the rest of it depends on, and what it has found so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from bench.training.device import Device
from bench.training.state import State, of_network, of_random, put_network, put_random

# What a trainer knows of its progress.
KNOWN = ("step", "batches", "examples", "time_to_target_s")


class Stateful(Protocol):
    """A part of a training that says its own state."""

    def state(self) -> State: ...

    def restore(self, saved: State) -> None: ...


class Continued(Protocol):
    """What is asked of a trainer, beside the attributes in KNOWN."""

    device: Device
    rows: list[dict[str, Any]]

    @property
    def model(self) -> nn.Module: ...

    def keep(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch, and report it."""


def state_of(trainer: Continued, parts: Mapping[str, Stateful]) -> State:
    """The state, whose tensors are those of the training itself: write it down before the next step."""
    return {
        "network": of_network(trainer.model),
        **{name: part.state() for name, part in parts.items()},
        "random": of_random(trainer.device.torch),
        "rows": trainer.rows,
        "known": {name: getattr(trainer, name) for name in KNOWN},
    }


def restore(trainer: Continued, parts: Mapping[str, Stateful], saved: State) -> None:
    """Put a state back into a trainer of the same recipe that has begun; it reports the epochs again."""
    put_network(trainer.model, saved["network"])
    for name, part in parts.items():
        part.restore(saved[name])
    for name in KNOWN:
        setattr(trainer, name, saved["known"][name])
    for row in saved["rows"]:
        trainer.keep(row)
    put_random(saved["random"])
