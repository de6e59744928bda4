"""Accuracy and cross-entropy on a test set, with test-time augmentation (TTA) if the recipe has it.

Levels, after airbench94: 0 the images; 1 the mean over the image and its mirror; 2 half of level 1 plus a quarter each
of level 1 on the image shifted by one pixel towards two opposite corners. Hiverge's form of level 2 is the plain mean
of these six views.

Further views can be restricted to the few images that need them. Each image is decided separately by a fixed
confidence, because a ranking among the test images would make one image's answer depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks

Forward = Callable[[Tensor], Tensor]


def _mirrored(forward: Forward, images: Tensor, first: Tensor | None = None) -> Tensor:
    upright = forward(images).float() if first is None else first
    return (upright + forward(images.flip(-1)).float()) / 2


def _moved(images: Tensor, offset: int) -> Tensor:
    """Images padded by one reflected pixel and cropped at `offset` (0 or 2) in both directions."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    return _like(padded[..., offset : offset + height, offset : offset + width], images)


def logits(
    forward: Forward, images: Tensor, tta: int, first: Tensor | None = None, equal_views: bool = False
) -> Tensor:
    """Logits float32 [B, classes] of normalised images [B, C, H, W] at a TTA level; `first` are those of level 0.

    With `equal_views` each view of level 2 has the same weight.
    """
    if tta == 0:
        return forward(images).float() if first is None else first
    centre = _mirrored(forward, images, first)
    if tta == 1:
        return centre
    corners = _mirrored(forward, _moved(images, 0)) + _mirrored(forward, _moved(images, 2))
    return (centre + corners) / 3 if equal_views else 0.5 * centre + 0.25 * corners


class Answers(NamedTuple):
    """How a network answers a test set: the share of right answers, and the mean cross-entropy in nats.

    Cross-entropy is without label smoothing, of the mean logits where there are several views.
    """

    accuracy: float
    cross_entropy: float


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: Precision,
    tta: int = 0,
    ranks: Ranks = ALONE,
    tta_below: float | None = None,
    equal_views: bool = False,
) -> Answers:
    """The answers to the images, or to a text's tokens; right is a largest logit that is the label's.

    The model is left in training mode.

    With `tta_below`, an image whose first view gives some class at least this softmax probability keeps that answer,
    and only the others are evaluated again at level `tta`. The images are kept until all have been evaluated once, so
    that the device is waited for only once.

    Each of several ranks has its own images, possibly of different number; the counts are summed.
    """
    ranks.average_buffers(model)
    model.eval()
    scores, count = torch.zeros(2, dtype=torch.float64, device=precision.device.torch), 0
    looked_at: list[tuple[Tensor, Tensor, Tensor]] = []
    with precision.autocast():
        for images, labels in batches:
            count += labels.numel()
            if tta and tta_below is not None:
                looked_at.append((images, labels, logits(model, images, 0)))
            else:
                scores += _scores(logits(model, images, tta, None, equal_views), labels).sum(1)
        if looked_at and tta_below is not None:
            # cuDNN would tune, and torch compile, for another size.
            same_size = precision.device.is_cuda or is_compiled(model)
            scores += _second_look(model, looked_at, tta, tta_below, same_size, equal_views)
    model.train()
    images_in_all = sum(number for (number,) in ranks.gather([count]))
    # One copy, for which a GPU is waited for once.
    right, cross_entropy = ranks.sum(scores).cpu().tolist()
    return Answers(right / images_in_all, cross_entropy / images_in_all)


def is_compiled(forward: nn.Module) -> bool:
    """Whether `torch.compile` made it, which would compile again for another shape."""
    return hasattr(forward, "_orig_mod")


def _scores(logits: Tensor, labels: Tensor) -> Tensor:
    """1 for each answer that is right and 0 for others, and the cross-entropy of each: float64 [2, answers]."""
    right = logits.argmax(dim=1) == labels
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    return torch.stack([right.double(), cross_entropy.double()]).flatten(1)


def _second_look(
    forward: Forward,
    looked_at: list[tuple[Tensor, Tensor, Tensor]],
    tta: int,
    below: float,
    same_size: bool,
    equal_views: bool,
) -> Tensor:
    """The sums of the scores of (images, labels, logits of level 0), float64 [2], after unsure images got all their
    views.

    Unsure images are collected into batches of the first batch's size; with `same_size` the last one is filled up with
    images that are not counted.
    """
    scores = looked_at[0][1].new_zeros(2, dtype=torch.float64)
    unsure = []
    for batch in looked_at:
        _, labels, first = batch
        again = first.softmax(dim=1).amax(dim=1) < below
        scores += (_scores(first, labels) * ~again).sum(1)
        rows = again.nonzero().flatten()
        unsure.append([part.index_select(0, rows) for part in batch])
    parts = [torch.cat(part) for part in zip(*unsure, strict=True)]
    size, count = len(looked_at[0][1]), len(parts[1])
    for start in range(0, count, size):
        end = min(start + size, count)
        rows = torch.arange(start, start + size if same_size else end, device=scores.device) % count
        images, labels, first = (part.index_select(0, rows) for part in parts)
        answers = logits(forward, _like(images, looked_at[0][0]), tta, first, equal_views)
        scores += _scores(answers, labels)[:, : end - start].sum(1)
    return scores


def _like(images: Tensor, others: Tensor) -> Tensor:
    """The images in the memory format of the others."""
    channels_last = others.ndim == 4 and others.is_contiguous(memory_format=torch.channels_last)
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
