import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench import models
from bench.models.speedrun_pairs import PairedSpeedrunNet, PairGroup


def test_it_has_the_described_shapes():
    net = PairedSpeedrunNet()
    convs = [module for module in net.groups.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs] == [
        (24, 64, 3), (64, 64, 1), (64, 64, 1),
        (64, 256, 3), (256, 192, 3), (192, 256, 1),
        (256, 768, 2), (768, 512, 3), (512, 768, 3),
    ]  # fmt: skip
    assert net.head.weight.shape == (100, 768)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(8.6e6, rel=0.005)
    with FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 3, 32, 32))
    pixels = [31, 15, 15, 15, 7, 7, 6, 3, 3]  # behind the whitening's 31 and before each pooling
    of_convs = sum(2 * conv.weight.numel() * size**2 for conv, size in zip(convs, pixels, strict=True))
    assert counter.get_total_flops() == 2 * 12 * 24 * 31**2 + of_convs + 2 * 768 * 100


@pytest.mark.parametrize(("pixels", "seen"), [(32, [15, 7, 3]), (24, [11, 5, 2]), (20, [9, 4, 1])])
def test_the_groups_halve_each_of_the_sizes_that_it_trains_on(pixels, seen):
    net, sizes = PairedSpeedrunNet(widths=(4, 4, 4), pair_widths=(4, 4, 4)), []
    for group in net.groups[1:]:
        group.register_forward_hook(lambda module, given, out: sizes.append(out.shape[-1]))
    net(torch.zeros(2, 3, pixels, pixels))
    assert sizes == seen


def test_a_pair_is_added_to_its_input_before_the_last_activation():
    group = PairGroup(4, 6, 3, (3, 1), 5, "relu", 0.1)
    x = torch.randn(8, 4, 6, 6)
    entered = group.enter(x)
    assert torch.allclose(group(x), (entered + group.pair(entered)).relu())


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_convs_start_as_the_identity(kernel):
    group = PairGroup(4, 4, kernel, (1, 3), 4, "relu", 0.1)
    x = torch.randn(2, 4, 8, 8)
    out = group.enter[0](x)
    assert torch.allclose(out, x[..., -out.shape[-2] :, -out.shape[-1] :], atol=1e-6)
    assert torch.allclose(group.pair[0](x), x, atol=1e-6)


def test_features_are_the_maximum_and_the_mean_in_sum():
    net = PairedSpeedrunNet(widths=(4, 4, 4), pair_widths=(4, 4, 4), logit_scale=1.0).eval()
    x = torch.randn(2, 3, 32, 32)
    features = net.groups(net.whiten(x)).double().flatten(2)
    expected = (features.amax(2) + features.mean(2)) @ net.head.weight.double().T
    assert torch.allclose(net(x).double(), expected, atol=1e-4)


def test_it_is_whitened_as_the_other_is():
    images = torch.randn(64, 3, 32, 32)
    torch.manual_seed(0)
    net = PairedSpeedrunNet(widths=(4, 4, 4), pair_widths=(4, 4, 4), whiten_bias="drawn", whiten_images=64)
    other = models.build("speedrun", {"whiten_images": 64}, in_channels=3, classes=100, image_size=32)
    net.init_from_data(images)
    other.init_from_data(images)
    assert torch.equal(net.whiten.weight, other.whiten.weight)
    assert net.whiten.bias.all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernels": [3, 3]}, "kernels has 2 entries, and widths 3: one a group"),
        ({"pair_kernels": [[1], [3, 1], [3, 3]]}, r"pair_kernels are two a group, not \[\[1\], \[3, 1\], \[3, 3\]\]"),
        ({"pair_kernels": [[1, 1], [2, 1], [3, 3]]}, r"kernels of a residual pair are odd, .* not \[2, 1\]"),
        ({"pair_widths": [64, 0, 512]}, "widths: 0 is not between 1 and 65536"),
        ({"kernels": [3, 9, 2]}, "kernels are 1 to 7 pixels, not 9"),
        ({"kernels": [3, 3, "2"]}, "kernels, in .*, is '2'; it takes a whole number"),
    ],
)
def test_an_impossible_net_is_refused_with_the_numbers(options, said):
    with pytest.raises(models.ImpossibleModel, match=said):
        models.build("speedrun_pairs", options, in_channels=3, classes=100, image_size=32)


def test_images_that_the_groups_halve_to_nothing_are_refused():
    with pytest.raises(models.ImpossibleModel, match=r"3 groups of kernels \[3, 3, 2\] leave nothing of 12 pixels"):
        models.build("speedrun_pairs", {}, in_channels=3, classes=100, image_size=12)
