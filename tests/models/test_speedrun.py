import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench import models
from bench.models.speedrun import WHITEN_EPS, ConvGroup, SpeedrunNet, gram_by_image
from bench.profiling.operations import Operations


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(64, 3, 8, 8, generator=generator)
    return nn.functional.interpolate(smooth, 32, mode="bilinear") + 0.1 * torch.randn(
        64, 3, 32, 32, generator=generator
    )


def test_it_has_the_published_size():
    net = SpeedrunNet()
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(1.97e6, rel=0.005)
    with FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == pytest.approx(0.236e9, rel=0.01)


@pytest.mark.parametrize(
    ("options", "epochs", "published"),
    [
        ({}, 9.9, 0.36e15),
        ({"widths": [128, 384, 384]}, 15, 1.4e15),
        ({"widths": [128, 384, 512], "convs": 3, "residual": True}, 37, 4.9e15),
    ],
)
def test_training_takes_the_published_flops(options, epochs, published):
    """airbench94, 95 and 96; the published figures have two digits."""
    with torch.device("meta"):
        net = models.build("speedrun", options, in_channels=3, classes=10, image_size=32)
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, 32, 32))
    assert 3 * counter.get_total_flops() * 50_000 * epochs == pytest.approx(published, rel=0.05)


def test_the_net_for_96_has_ten_convs_and_its_momentum():
    options = {"widths": [8, 16, 16], "convs": 3, "residual": True, "norm_momentum": 0.1}
    net = models.build("speedrun", options, in_channels=3, classes=10, image_size=32)
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == 10
    assert {module.momentum for module in net.modules() if isinstance(module, nn.BatchNorm2d)} == {0.1}


def test_a_residual_joins_behind_the_first_conv_and_before_the_last_activation():
    group = ConvGroup(4, 4, convs=3, residual=True, act="relu", norm_momentum=0.1)
    x = torch.randn(8, 4, 6, 6)
    entered = group.enter(x)
    assert torch.allclose(group(x), (entered + group.body(entered)).relu())
    assert isinstance(group.body[-1], nn.BatchNorm2d)


def test_the_groups_see_31_15_and_7_pixels():
    net, sizes = SpeedrunNet(), []
    for group in net.groups[1:]:
        group.register_forward_hook(lambda module, given, out: sizes.append((given[0].shape[-1], out.shape[-1])))
    net(torch.zeros(2, 3, 32, 32))
    assert sizes == [(31, 15), (15, 7), (7, 3)]


def test_whitened_patches_are_uncorrelated(images):
    """Against the definition, in float64: E[w wᵀ] = λ / (λ + ε) on the diagonal and 0 off it."""
    net = SpeedrunNet()
    net.init_from_data(images)
    responses = nn.functional.conv2d(images.double(), net.whiten.weight[:12].double())
    flat = responses.permute(0, 2, 3, 1).reshape(-1, 12)
    covariance = flat.T @ flat / len(flat)
    assert torch.allclose(covariance, torch.diag(covariance.diag()), atol=1e-5)
    assert ((covariance.diag() > 0.5) & (covariance.diag() <= 1 + 1e-6)).all()
    assert torch.equal(net.whiten.weight[12:], -net.whiten.weight[:12])


def test_whitening_looks_at_as_many_images_as_it_is_told(images):
    few, cut = SpeedrunNet(whiten_images=16), SpeedrunNet()
    few.init_from_data(images)
    cut.init_from_data(images[:16])
    assert torch.equal(few.whiten.weight, cut.whiten.weight)
    cut.init_from_data(images)
    assert not torch.allclose(few.whiten.weight, cut.whiten.weight, atol=1e-3)


def test_the_whitening_bias_starts_at_zero_or_as_drawn_and_nothing_else_differs():
    nets = []
    for start in ("zero", "drawn"):
        torch.manual_seed(0)
        nets.append(SpeedrunNet(widths=(4, 8, 8), whiten_bias=start))
    zero, drawn = nets
    assert not zero.whiten.bias.any()
    assert drawn.whiten.bias.all()
    for (name, left), right in zip(zero.named_parameters(), drawn.parameters(), strict=True):
        assert name == "whiten.bias" or torch.equal(left, right)


def test_the_activation_behind_the_whitening_may_be_another():
    net = SpeedrunNet(widths=(4, 8, 8), activation="silu", whiten_activation="gelu")
    assert isinstance(net.groups[0], nn.GELU)
    kinds = {type(module) for module in net.groups[1:].modules() if isinstance(module, nn.GELU | nn.SiLU)}
    assert kinds == {nn.SiLU}
    assert isinstance(SpeedrunNet(widths=(4, 8, 8), activation="silu").groups[0], nn.SiLU)


def test_whitening_looks_at_many_images_in_parts(images):
    once, often = SpeedrunNet(), SpeedrunNet()
    once.init_from_data(images)
    often.init_from_data(images.repeat(5, 1, 1, 1))
    assert torch.allclose(once.whiten.weight, often.whiten.weight, atol=1e-6)


def test_dirac_convs_start_as_the_identity():
    conv = SpeedrunNet().groups[1].enter[0]
    x = torch.randn(2, 24, 9, 9)
    assert torch.allclose(conv(x)[:, :24], x, atol=1e-6)


def test_only_the_shifts_of_batch_norm_and_no_whitening_filter_train():
    net = SpeedrunNet()
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(frozen) == 1 + len(norms)
    assert "whiten.weight" in frozen
    assert all(norm.bias.requires_grad and norm.eps == 1e-12 for norm in norms)


def test_a_unit_head_has_unit_deviation():
    assert SpeedrunNet(unit_head=True).head.weight.std().item() == pytest.approx(1)


def test_logits_are_scaled():
    torch.manual_seed(0)
    plain = SpeedrunNet(logit_scale=1.0).eval()
    scaled = SpeedrunNet(logit_scale=0.25).eval()
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(scaled(x), plain(x) / 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"convs": 1}, "convs of a group are 2 to 100, not 1"),
        ({"whiten_images": 0}, "whiten_images is 1 or more, not 0"),
        ({"norm_momentum": 1.5}, "norm_momentum is between 0 and 1, not 1.5"),
        ({"whiten_activation": "glu"}, r"whiten_activation is 'glu' \(did you mean 'gelu'\?\); allowed: relu"),
        ({"widths": [64, 0]}, "widths: 0 is not between 1 and 65536"),
    ],
)
def test_an_impossible_net_is_refused_with_the_numbers(options, said):
    with pytest.raises(models.ImpossibleModel, match=said):
        models.build("speedrun", options, in_channels=3, classes=10, image_size=32)


def test_whitening_counts_every_patch_once_in_the_order_of_a_filter(images):
    net = SpeedrunNet(in_channels=3)
    patches = nn.functional.unfold(images.double(), 2)
    second_moments = (patches @ patches.mT).sum(0) / (len(images) * patches.shape[2])
    net.init_from_data(images)
    filters = net.whiten.weight[:12].double().flatten(1)
    responses = filters @ second_moments @ filters.T
    expected = torch.linalg.eigvalsh(second_moments).flip(0)
    assert torch.allclose(responses, torch.diag(expected / (expected + WHITEN_EPS)), atol=1e-5)


def test_whitening_launches_as_many_kernels_for_many_images_as_for_few(images):
    """`unfold` is one operation for torch, and on a GPU a kernel for each image."""
    net, counts = SpeedrunNet(), []
    for many in (1, 64):
        with Operations() as operations:
            net.init_from_data(images[:many])
        counts.append(operations.by_name)
    assert counts[0] == counts[1]
    assert "im2col" not in counts[0]


def test_whitening_on_a_gpu_sums_the_same_products():
    patches = torch.randn(12, 8 * 49, dtype=torch.float64)
    assert torch.allclose(gram_by_image(patches, images=8), patches @ patches.T)
