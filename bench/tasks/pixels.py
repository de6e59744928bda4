"""Between the images that a loader delivers, pixels in [0, 1], and pictures to look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.pipelines.dataset import Dataset
from bench.pipelines.torchvision_compat import import_torchvision
from bench.training.trained_net import channels

PADDING = 2


class Tanh:
    """Turns a loader's normalised images into those of a network that ends in a tanh: from -1, black, to 1, white."""

    def __init__(self, data: Dataset, device: torch.device, dtype: torch.dtype) -> None:
        images = torch.empty(0, device=device)
        self._scale = (2 * channels(data.std, images)).to(dtype)
        self._shift = (2 * channels(data.mean, images) - 1).to(dtype)

    def __call__(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in the dtype that it was made for."""
        return torch.addcmul(self._shift, images, self._scale)


class Pixels:
    """Turns a loader's normalised images into pixels in [0, 1], and beyond where a network left that range."""

    def __init__(self, data: Dataset, device: torch.device) -> None:
        images = torch.empty(0, device=device)
        self._scale, self._shift = channels(data.std, images), channels(data.mean, images)

    def __call__(self, images: Tensor) -> Tensor:
        """float32 [B, C, H, W]."""
        return torch.addcmul(self._shift, images.float(), self._scale)


def pixels_of(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """A data set's images [N, C, H, W], as float32 in [0, 1] on the device."""
    return torch.from_numpy(images).to(device).float() / 255


def grid(pixels: Tensor, columns: int = 8) -> Tensor:
    """Images [N, C, H, W] in [0, 1], one or three channels, in rows of `columns`: uint8 [3, height, width].

    A last row that is not full ends in white.
    """
    shown = pixels.detach().float().clamp(0, 1)
    torchvision = import_torchvision("torchvision.utils")
    table: Tensor = torchvision.make_grid(shown, nrow=columns, padding=PADDING, pad_value=1.0)
    return (table * 255).round().to(torch.uint8)
