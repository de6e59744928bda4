import torch
from torch import nn

from bench.training.flops import count_flops, forward_flops, training_flops


def test_a_convolution_by_hand():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    # 8 outputs of 27 products each, at 16 places; a multiply-add is two.
    assert forward_flops(conv, torch.randn(1, 3, 4, 4)) == 2 * 8 * 27 * 16
    assert conv.training


def test_a_backward_pass_counts_a_product_for_each_gradient():
    layer = nn.Linear(8, 4)
    frozen_input, moving_input = torch.randn(2, 8), torch.randn(2, 8, requires_grad=True)
    forward = 2 * 2 * 8 * 4
    assert count_flops(lambda: layer(frozen_input).sum().backward()) == 2 * forward
    assert count_flops(lambda: layer(moving_input).sum().backward()) == 3 * forward == training_flops(forward // 2, 2)
