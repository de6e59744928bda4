import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from bench.models.restoration_gan import Critic, RestorationGan


@pytest.mark.parametrize(("pixels", "blocks", "cells"), [(128, 3, 25), (96, 3, 9), (32, 2, 1), (33, 2, 1)])
def test_a_critic_judges_each_cell(pixels, blocks, cells):
    assert Critic(3, pixels, 4, blocks)(torch.randn(2, 3, pixels, pixels)).shape == (2, cells)


def test_its_convs_have_spectral_norm_of_one():
    torch.manual_seed(0)
    critic = Critic(3, 32, 8, 2)
    for _ in range(30):
        critic(torch.randn(2, 3, 32, 32))  # a power iteration each
    critic.eval()
    convs = [module for module in critic.modules() if isinstance(module, nn.Conv2d)]
    assert all(map(is_parametrized, convs))
    largest = [torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2).item() for conv in convs]
    assert largest == pytest.approx([1.0] * len(convs), rel=0.05)


def test_the_dense_block_doubles_the_channels():
    widths = [conv.in_channels for conv in Critic(3, 128, 128).modules() if isinstance(conv, nn.Conv2d)]
    # From the image, the dense block's two, and the three that halve, of which the first has self-attention behind it.
    assert [width for width in widths if width not in (512,)] == [3, 128, 128, 256, 1024, 2048]


def test_the_gan_restores_and_judges():
    gan = RestorationGan(3, 10, 32, widths=[8, 16], critic_width=8, critic_blocks=2)
    restored = gan(torch.randn(2, 3, 32, 32))
    assert restored.shape == (2, 3, 32, 32)
    assert gan.critic(restored).shape == (2, 1)


def test_too_small_images_are_refused_with_their_size():
    with pytest.raises(ValueError, match="critic_blocks: 3 blocks need images of 64 pixels, not 32"):
        RestorationGan(3, 10, 32)
