"""Accuracy on a test set, with test-time augmentation (TTA) where the recipe asks for it.

Levels, after airbench94: 0 the images; 1 the mean over the image and its mirror; 2 half of level 1,
and a quarter each of level 1 on the image moved by one pixel towards either corner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks

Forward = Callable[[Tensor], Tensor]


def _mirrored(forward: Forward, images: Tensor) -> Tensor:
    return (forward(images).float() + forward(images.flip(-1)).float()) / 2


def _moved(images: Tensor, offset: int) -> Tensor:
    """Images padded by one reflected pixel and cropped at `offset` (0 or 2) in both directions."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    return padded[..., offset : offset + height, offset : offset + width].contiguous(
        memory_format=torch.channels_last
        if images.is_contiguous(memory_format=torch.channels_last)
        else torch.contiguous_format
    )


def logits(forward: Forward, images: Tensor, tta: int) -> Tensor:
    """Logits float32 [B, classes] of normalised images [B, C, H, W] at a TTA level."""
    if tta == 0:
        return forward(images).float()
    centre = _mirrored(forward, images)
    if tta == 1:
        return centre
    corners = _mirrored(forward, _moved(images, 0)) + _mirrored(forward, _moved(images, 2))
    return 0.5 * centre + 0.25 * corners


@torch.no_grad()
def accuracy(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: Precision,
    tta: int = 0,
    ranks: Ranks = ALONE,
) -> float:
    """The share of images whose largest logit is their label, in [0, 1]; the model is left in training mode.

    Of several ranks each has its own images, however many; what is counted is summed over them.
    """
    ranks.average_buffers(model)
    model.eval()
    correct, count = torch.zeros((), dtype=torch.int64, device=precision.device.torch), 0
    with precision.autocast():
        for images, labels in batches:
            correct += (logits(model, images, tta).argmax(dim=1) == labels).sum()
            count += len(labels)
    model.train()
    images_in_all = sum(number for (number,) in ranks.gather([count]))
    return ranks.sum(correct).item() / images_in_all
