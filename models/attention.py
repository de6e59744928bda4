"""Self-attention between the pixels of an image.

Source: Zhang et al., Self-Attention Generative Adversarial Networks (arXiv 1805.08318).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

# The channels in a channel of queries and keys.
REDUCTION = 8


class SelfAttention(nn.Module):
    """Each pixel of [B, channels, H, W] plus a mean over all pixels, weighted by likeness; at the start, itself alone.

    It takes memory for (H · W)² likenesses, so it belongs where the image is small.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < REDUCTION:
            raise ValueError(f"self-attention needs {REDUCTION} channels, not {channels}")
        self.query, self.key, self.value = (
            spectral_norm(nn.Conv2d(channels, out, 1, bias=False))
            for out in (channels // REDUCTION, channels // REDUCTION, channels)
        )
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x).flatten(2).transpose(1, 2) for part in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gain * seen.transpose(1, 2).reshape_as(x)
