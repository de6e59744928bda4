"""A small convolutional network."""

import torch
from torch import nn

from models.layers import conv_block


class Cnn(nn.Module):
    """Two blocks and a linear layer; images [B, in_channels, H, W] become logits [B, num_classes]."""

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.blocks = nn.Sequential(conv_block(in_channels, width), conv_block(width, 2 * width))
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(images).mean((2, 3)))
