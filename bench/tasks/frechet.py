"""The Fréchet distance between two sets of images, by the features that a classifier sees in them.

Source: Heusel et al. (arXiv 1706.08500), who take an Inception network. Here it is a network that was trained here, so
that distances compare only with others by the same network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.training.trained_net import TrainedNet

# Images at a time.
CHUNK = 500


class Seen(NamedTuple):
    """What a classifier sees in N images: `features` float32 [N, D], `classes` int64 [N]."""

    features: Tensor
    classes: Tensor


class Moments(NamedTuple):
    """The mean [D] and the covariance [D, D] of features, float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Of features [N, D] of at least two images."""
        features = features.double()
        return cls(features.mean(0), torch.cov(features.T).view(2 * features.shape[1:]))


@torch.no_grad()
def seen(classifier: TrainedNet, pixels: Tensor) -> Seen:
    """What the classifier sees in images [N, C, H, W] with pixels in [0, 1] on its device."""
    inputs: list[Tensor] = []
    hook = _last_layer(classifier.net).register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        logits = [classifier.net(classifier.normalised(some)) for some in torch.split(pixels, CHUNK)]
    finally:
        hook.remove()
    features = torch.cat([some.flatten(2).mean(2) if some.ndim > 2 else some for some in inputs])
    return Seen(features, torch.cat(logits).argmax(1))


def frechet_distance(one: Moments, other: Moments) -> float:
    """|μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), at least 0."""
    # The trace of (C₁ C₂)^½ is that of the symmetric (S C₂ S)^½ with S = C₁^½, whose eigenvalues are real.
    values, vectors = torch.linalg.eigh(one.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    mixed = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    distance = apart + one.covariance.trace() + other.covariance.trace() - 2 * mixed
    return float(distance.clamp(min=0))


def class_coverage(classes: Tensor, count: int) -> float:
    """The share of `count` classes of which there is at least a tenth of what each would have if all had equally many.

    `classes` is int64 [N].
    """
    found = torch.bincount(classes, minlength=count)
    return int((found * 10 * count >= len(classes)).sum()) / count


def _last_layer(net: nn.Module) -> nn.Module:
    """The layer from the features to the classes."""
    layers: Iterator[nn.Module] = (one for one in net.modules() if isinstance(one, nn.Linear | nn.Conv2d))
    *_, last = layers
    return last
