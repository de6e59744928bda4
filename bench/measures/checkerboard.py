"""Checkerboard: how unequal the pixels are that an untrained layer makes of an image of one colour."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from bench.measures.base import Measure, parameter_count
from bench.models.upsampling import upsampling
from bench.runs.run import Status
from bench.spec.measure_options import CheckerboardOptions

# So much of each side is left out: there the padding is seen.
BORDER = 4


class Checkerboard(Measure):
    """The variation by phase of an image of ones, through a layer drawn from the run's seed."""

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:  # noqa: ARG002
        options = self.recipe.checkerboard or CheckerboardOptions()
        with self.clock.span("build"):
            layer = upsampling(options.upsampling, options.channels, options.channels)
        with self.clock.span("measure"):
            grey = torch.ones(1, options.channels, options.pixels, options.pixels)
            self.metrics["phase_variation"] = phase_variation(layer, grey)
        self.metrics["parameters"] = parameter_count(layer)
        return "ok", None


@torch.no_grad()
def phase_variation(layer: nn.Module, images: Tensor) -> float:
    """The standard deviation over the four phases, in the mean size of a value; 0 is no checkerboard.

    `layer` doubles the resolution of `images` [B, C, H, W] of one colour each. A phase is every other row and every
    other column. Its value in a channel is its mean; the deviation is over the four (divided by 3), averaged over the
    channels, and divided by the mean of the values' magnitudes. Four independent values of mean 0 give about 1.15.
    """
    out = layer(images)[..., BORDER:-BORDER, BORDER:-BORDER]
    phases = torch.stack([out[..., top::2, left::2].mean((2, 3)) for top in (0, 1) for left in (0, 1)])
    return (phases.std(0).mean() / phases.abs().mean()).item()
