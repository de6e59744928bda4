import pytest
import torch
from torch import nn

from bench import models
from bench.ingredients.ghost_batch_norm import use_ghost_batches
from bench.measures.fusion import fold_batch_norms
from bench.models import MODELS, OF_TASKS

# Of each net: options, how many norms stand behind a conv of their own, and how many elsewhere.
NETS = {
    "darknet": ({"blocks": [1, 1], "width": 8}, 7, 0),
    # What is added to a block's output is normalised by the next one, and not by that one alone.
    "darknet, pre-activation": ({"blocks": [1, 1], "width": 8, "order": "bn-act-conv"}, 3, 4),
    "darknet, dense": ({"blocks": [2, 1], "width": 8, "dense": True, "bias": True}, 9, 0),
    "darknet, norm last": ({"blocks": [1], "width": 8, "order": "conv-act-bn"}, 0, 4),
    "wide_resnet": ({"depth": 10, "widen": 2}, 4, 3),
    "wrn_22": ({"widen": 1}, 10, 9),
    "resnet9": ({"widths": [8, 16, 16, 32]}, 8, 0),
    # Three of the six have a max-pooling before them.
    "speedrun": ({"widths": [8, 16, 16], "logit_scale": 1.0}, 6, 0),
    "speedrun, for 96 %": ({"widths": [8, 16, 16], "convs": 3, "residual": True}, 9, 0),
    "speedrun_pairs": ({"widths": [8, 16, 24], "pair_widths": [8, 12, 16]}, 9, 0),
    "mnist_plain": ({}, 5, 0),
    "mnist_resnetish": ({}, 13, 0),
    "mnist_dense": ({}, 13, 0),
    "cifar_resnet": ({"depth": 8}, 7, 0),
    "encoder": ({"widths": [8, 16]}, 4, 0),
    "torchvision:resnet18": ({"small_stem": True}, 20, 0),
}


def trained_alike(net: nn.Module) -> nn.Module:
    """In evaluation mode, with norms that do something, whose scales are positive."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


@torch.no_grad()
def assert_same(net: nn.Module, fused: nn.Module, images: torch.Tensor) -> None:
    expected = net(images.clone())
    assert (fused(images.clone()) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_no_net_is_forgotten():
    tried = {name.partition(",")[0].partition(":")[0] for name in NETS} | {"counting_rnn"}  # which has no convs
    # Those of tasks are no classifiers, and inference is of these.
    assert tried == {name.partition(":")[0] for name in MODELS if name not in OF_TASKS}


@pytest.mark.parametrize("name", NETS)
def test_a_folded_net_computes_the_same(name):
    options, folded, left = NETS[name]
    torch.manual_seed(0)
    pixels = 28 if name.startswith("mnist") else 32
    channels = 1 if name.startswith("mnist") else 3
    net = trained_alike(
        models.build(name.partition(",")[0], options, in_channels=channels, classes=10, image_size=pixels)
    )
    before = {key: value.clone() for key, value in net.state_dict().items()}
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (folded, left)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in fused.model.modules()) == left
    assert_same(net, fused.model, torch.randn(3, channels, pixels, pixels))
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_behind_a_pooling_only_rising_norms_are_folded():
    pooled = trained_alike(nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3)))
    bare = trained_alike(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))
    for net, folded in ((pooled, 0), (bare, 1)):
        with torch.no_grad():
            net[-1].weight[1] = -1.0
        fused = fold_batch_norms(net)
        assert fused.folded == folded
        assert_same(net, fused.model, torch.randn(2, 2, 8, 8))


def test_two_norms_behind_one_conv_are_both_folded():
    net = trained_alike(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.BatchNorm2d(3)))
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (2, 0)
    assert_same(net, fused.model, torch.randn(2, 2, 8, 8))


def test_ghost_batches_are_folded_as_other_norms():
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    use_ghost_batches(net, 2)
    trained_alike(net)
    fused = fold_batch_norms(net)
    assert fused.folded == 1
    assert_same(net, fused.model, torch.randn(6, 2, 8, 8))


class Twice(nn.Module):
    """One conv, called two times, and one batch norm."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.conv(self.norm(self.conv(x)))


class Choosing(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_conv_with_another_use_is_left_alone():
    net = trained_alike(Twice())
    fused = fold_batch_norms(net)
    assert (fused.folded, fused.left) == (0, 1)
    assert_same(net, fused.model, torch.randn(2, 2, 8, 8))


def test_a_net_that_cannot_be_traced_is_refused():
    with pytest.raises(ValueError, match="the network's way depends on its input"):
        fold_batch_norms(Choosing().eval())
