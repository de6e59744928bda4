"""Page's ResNet-9: four 3×3 layers of 64 to 512 channels, the second and the fourth with a residual pair behind them.

Source: David Page, How to Train Your ResNet 4 (myrtle.ai, 2018), and his DAWNBench entry. 6.57 M parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bench.models.layers import Activation, MaxPool, conv2d, make_activation


class Residual(nn.Module):
    """Two layers, added to their input."""

    def __init__(self, channels: int, act: Activation) -> None:
        super().__init__()
        self.layers = nn.Sequential(*conv_bn_act(channels, channels, act), *conv_bn_act(channels, channels, act))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


def conv_bn_act(channels_in: int, channels_out: int, act: Activation) -> list[nn.Module]:
    return [conv2d(channels_in, channels_out), nn.BatchNorm2d(channels_out), make_activation(act, inplace=True)]


class ResNet9(nn.Module):
    """Images [B, in_channels, H, W] to logits [B, classes] times `logit_scale`.

    `widths` are of the first layer and of those that follow and halve H and W; `residuals` says which of the latter,
    counted from 1, have a pair.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        widths: Sequence[int] = (64, 128, 256, 512),
        residuals: Sequence[int] = (1, 3),
        activation: Activation = "relu",
        logit_scale: float = 0.125,
    ) -> None:
        pools = len(widths) - 1
        if image_size >> pools < 1:
            raise ValueError(f"{pools} layers halve the image, so it needs {2**pools} pixels, not {image_size}")
        if any(not 1 <= layer <= pools for layer in residuals):
            raise ValueError(f"residuals are layers 1 to {pools} of these widths, not {list(residuals)}")
        super().__init__()
        layers = conv_bn_act(in_channels, widths[0], activation)
        for layer in range(1, len(widths)):
            layers += [*conv_bn_act(widths[layer - 1], widths[layer], activation), nn.MaxPool2d(2)]
            layers += [Residual(widths[layer], activation)] if layer in residuals else []
        self.body = nn.Sequential(*layers)
        self.pool = MaxPool()
        self.head = nn.Linear(widths[-1], classes, bias=False)
        self.logit_scale = logit_scale

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.body(x))) * self.logit_scale  # type: ignore[no-any-return]
