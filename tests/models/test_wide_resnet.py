"""Against the paper's tables (arXiv 1605.07146), which give parameters in millions to one decimal."""

import pytest
import torch
from torch import nn

from bench import models
from bench.models.wide_resnet import WideBlock, blocks_per_stage, kernels_of

DATA = {"in_channels": 3, "classes": 10, "image_size": 32}


def build(**options):
    with torch.device("meta"):
        return models.build("wide_resnet", options, **DATA)


def millions(net):
    return round(sum(p.numel() for p in net.parameters()) / 1e6, 1)


def refusal(**options):
    with pytest.raises(models.ImpossibleModel) as caught:
        build(**options)
    return str(caught.value)


@pytest.mark.parametrize(("depth", "widen", "published"), [(28, 10, 36.5), (40, 2, 2.2), (16, 8, 11.0), (40, 4, 8.9)])
def test_parameters_are_the_papers(depth, widen, published):
    assert millions(build(depth=depth, widen=widen)) == published


@pytest.mark.parametrize(
    ("block", "depth", "published"),
    [
        ("B(1,3,1)", 40, 1.4),
        ("B(3,1)", 40, 1.2),
        ("B(1,3)", 40, 1.3),
        ("B(3,1,1)", 40, 1.3),
        ("B(3,3)", 28, 1.5),
        ("B(3,1,3)", 22, 1.1),
    ],
)
def test_the_six_block_types_have_the_papers_parameters(block, depth, published):
    assert millions(build(block=block, depth=depth, widen=2)) == published


@pytest.mark.parametrize(("block", "blocks"), [("B(3)", 12), ("B(3,3)", 6), ("B(3,3,3)", 4), ("B(3,3,3,3)", 3)])
def test_convs_per_block_trade_against_blocks_at_one_depth_and_size(block, blocks):
    net = build(block=block, depth=40, widen=2)
    assert sum(isinstance(module, WideBlock) for module in net.modules()) == 3 * blocks
    assert millions(net) == 2.2


def test_depth_counts_every_conv_of_a_net_of_3x3_blocks():
    net = build(depth=28, widen=2)
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == 28


def test_wrn_22_is_the_net_of_the_entry():
    with torch.device("meta"):
        net = models.build("wrn_22", {}, **DATA)
    widths = [block.branch[-1].out_channels for block in net.modules() if isinstance(block, WideBlock)]
    assert widths == [96] * 3 + [192] * 3 + [384] * 3
    assert sum(block.project is not None for block in net.modules() if isinstance(block, WideBlock)) == 3
    assert all(block.branch_scale == 0.2 for block in net.modules() if isinstance(block, WideBlock))


def test_its_shortcut_begins_behind_the_first_relu():
    block = WideBlock(4, 4, [3], 1, 1, 0.0, branch_scale=0.2, activated_shortcut=True)
    nn.init.zeros_(block.branch[0].weight)
    x = torch.randn(8, 4, 5, 5)
    expected = nn.functional.batch_norm(x, None, None, training=True).relu()
    assert torch.allclose(block(x), expected, atol=1e-5)
    plain = WideBlock(4, 4, [3], 1, 1, 0.0, branch_scale=1.0, activated_shortcut=False)
    nn.init.zeros_(plain.branch[0].weight)
    assert torch.equal(plain(x), x)


def test_no_pixel_goes_unseen_where_a_block_halves_the_image():
    block = WideBlock(4, 8, [1, 3, 1], 2, 1, 0.0, 1.0, False)
    assert [conv.stride for conv in block.branch if isinstance(conv, nn.Conv2d)] == [(1, 1), (2, 2), (1, 1)]


def test_dropout_stands_between_the_convs_of_a_block():
    (block,) = [m for m in build(depth=10, widen=1, dropout=0.3).modules() if isinstance(m, WideBlock)][:1]
    assert [type(layer) for layer in block.branch] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, nn.Conv2d]
    assert not any(isinstance(module, nn.Dropout) for module in build(depth=10, widen=1).modules())


def test_filters_start_as_he_et_al_draw_them():
    torch.manual_seed(0)
    net = models.build("wide_resnet", {"depth": 10, "widen": 4}, **DATA)
    conv = net.body[-3].branch[-1]
    assert conv.weight.std().item() == pytest.approx((2 / (conv.out_channels * 9)) ** 0.5, rel=0.02)


def test_a_depth_that_does_not_fit_is_refused_with_one_that_does():
    assert "depth 27 does not fit B(3,3): it is 4 + 6 · n, as 28" in refusal(depth=27)
    assert "it is 4 + 9 · n, as 13" in refusal(depth=10, block="B(3,3,3)")
    assert "as 10" in refusal(depth=0)


@pytest.mark.parametrize("block", ["", "3,3", "B()", "B(3,)", "B(3,3", "B(-1)", "B(3.5)", "b(3)"])
def test_what_is_no_block_is_refused_with_an_example(block):
    assert "as in B(3,3) or B(1,3,1)" in refusal(block=block)


def test_groups_that_do_not_divide_are_refused():
    assert "3 groups do not divide the 16 input channels" in refusal(groups=3)
    assert "a kernel is odd" in refusal(block="B(2,3)")
    assert "dropout is a probability below 1, not 1" in refusal(dropout=1.0)


def test_a_block_is_read_as_it_is_written():
    assert kernels_of("B(1,3, 5)") == [1, 3, 5]
    assert blocks_per_stage(40, [3]) == 12
