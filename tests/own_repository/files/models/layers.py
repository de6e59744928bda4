"""What the networks are made of."""

from torch import nn


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """A 3x3 convolution with batch norm and ReLU, and half the size."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
