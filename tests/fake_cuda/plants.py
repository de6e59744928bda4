"""Faults of a GPU's path, planted: none of them shows on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from bench.models.speedrun import SpeedrunNet
from bench.pipelines.loader import Loader
from bench.pipelines.loaders.on_device import Ahead
from bench.pipelines.loaders.resident import ResidentLoader
from bench.training.loss import Loss
from bench.training.step import TrainingStep


def _changed(owner: type, method: str, change: Callable[..., Any]) -> Callable[[], AbstractContextManager[None]]:
    """While entered, `owner.method` is `change`, which is given the method itself first."""

    @contextmanager
    def planted() -> Iterator[None]:
        own = getattr(owner, method)
        with patch.object(owner, method, lambda *args, **kwargs: change(own, *args, **kwargs)):
            yield

    return planted


def _cpu_constant(own: Any, loss: Loss, logits: Tensor, *rest: Any) -> Any:
    return own(loss, logits * torch.ones(10), *rest)


def _cpu_index(own: Any, loss: Loss, logits: Tensor, labels: Tensor, *rest: Any) -> Any:
    order = torch.randperm(len(labels))
    return own(loss, logits[order], labels[order], *rest)


def _contiguous(own: Any, net: SpeedrunNet, images: Tensor) -> Any:
    return own(net, images.contiguous())


def _lost_within(own: Any, net: SpeedrunNet, images: Tensor) -> Any:
    net.groups[1].enter[0].weight.data = net.groups[1].enter[0].weight.data.contiguous()
    net.groups[2].enter[0].weight.data = net.groups[2].enter[0].weight.data.contiguous()
    return own(net, images)


def _read(look: Callable[[Tensor], Any]) -> Callable[..., Any]:
    def compute(own: Any, step: TrainingStep, *args: Any) -> Any:
        loss = own(step, *args)
        look(loss)
        return loss

    return compute


def _batches(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def batches(own: Any, loader: ResidentLoader, *args: Any) -> Any:
        for images, labels in own(loader, *args):
            yield images, change(labels)

    return batches


def _draw_unpinned(_: Any, loader: ResidentLoader, epoch: int) -> None:
    shuffled = Loader.shuffled(loader, epoch)
    loader._ahead = Ahead(epoch, shuffled, loader._own_part(shuffled), Loader.draws(loader, epoch))


def _held(own: Any, loader: ResidentLoader, epoch: int, order: Tensor) -> Any:
    loader._ordered = order  # type: ignore[attr-defined]
    return own(loader, epoch, order)


def _pinned(labels: Tensor) -> Tensor:
    return torch.zeros(len(labels), dtype=torch.int64).pin_memory()


PLANTS = {
    "a constant on the CPU": _changed(Loss, "__call__", _cpu_constant),
    "an index on the CPU": _changed(Loss, "__call__", _cpu_index),
    "item": _changed(TrainingStep, "_compute", _read(lambda loss: loss.item())),
    "bool": _changed(TrainingStep, "_compute", _read(lambda loss: bool(loss > 0))),
    "nonzero": _changed(TrainingStep, "_compute", _read(lambda loss: loss.nonzero())),
    "a mask as index": _changed(TrainingStep, "_compute", _read(lambda loss: loss.view(1)[loss.view(1) > 0])),
    "cpu": _changed(TrainingStep, "_compute", _read(lambda loss: loss.cpu())),
    "tolist": _changed(TrainingStep, "_compute", _read(lambda loss: loss.tolist())),
    "synchronize": _changed(TrainingStep, "_compute", _read(lambda _: torch.cuda.synchronize())),
    "a copy of pageable memory": _changed(
        ResidentLoader,
        "_batches",
        _batches(lambda x: torch.zeros(len(x), dtype=torch.int64).to(x.device, non_blocking=True)),
    ),
    "a blocking copy": _changed(ResidentLoader, "_batches", _batches(lambda x: _pinned(x).to(x.device))),
    "a loader that is not warmed up": _changed(ResidentLoader, "warm_up", lambda *_: None),
    "pinned memory that is not given back in time": _changed(ResidentLoader, "_batches", _held),
    "draws that are pinned when they are sent": _changed(ResidentLoader, "_draw_ahead", _draw_unpinned),
    "contiguous images": _changed(SpeedrunNet, "forward", _contiguous),
    "contiguous weights": _changed(SpeedrunNet, "forward", _lost_within),
}
