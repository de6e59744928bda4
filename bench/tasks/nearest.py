"""How far images are from the nearest training image: what was learnt by heart is at 0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Training images at a time, as float32 pixels.
CHUNK = 2000


def nearest_distances(images: Tensor, others: npt.NDArray[np.uint8]) -> Tensor:
    """For each of images [M, C, H, W] in [0, 1] the root mean square difference of its pixels to those of the nearest
    of `others` [N, C, H, W]: float32 [M] on the images' device."""
    found: Tensor = images.new_full((len(images),), float("inf"), dtype=torch.float32)
    own = images.float().flatten(1)
    for start in range(0, len(others), CHUNK):
        some = torch.from_numpy(others[start : start + CHUNK]).to(images.device).float().flatten(1) / 255
        found = torch.minimum(found, torch.cdist(own, some).amin(1))
    return found.div(own.shape[1] ** 0.5)
