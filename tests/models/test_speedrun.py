import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import models
from models.speedrun import SpeedrunNet


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


def test_dirac_convs_start_as_the_identity():
    conv = SpeedrunNet().groups[1].layers[0]
    x = torch.randn(2, 24, 9, 9)
    assert torch.allclose(conv(x)[:, :24], x, atol=1e-6)


def test_only_the_shifts_of_batch_norm_and_no_whitening_filter_train():
    net = SpeedrunNet()
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(frozen) == 1 + len(norms)
    assert "whiten.weight" in frozen
    assert all(norm.bias.requires_grad and norm.eps == 1e-12 for norm in norms)


def test_gradients_reach_every_trainable_parameter(images):
    net = SpeedrunNet(widths=(8, 16, 16))
    net.init_from_data(images)
    nn.functional.cross_entropy(net(images), torch.arange(64) % 10).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters() if p.requires_grad)


def test_a_unit_head_has_unit_deviation():
    assert SpeedrunNet(unit_head=True).head.weight.std().item() == pytest.approx(1)


def test_logits_are_scaled():
    torch.manual_seed(0)
    plain = SpeedrunNet(logit_scale=1.0).eval()
    scaled = SpeedrunNet(logit_scale=0.25).eval()
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(scaled(x), plain(x) / 4)


def test_an_image_that_vanishes_is_refused():
    with pytest.raises(models.ImpossibleModel, match="3 groups halve the image to nothing at 8 pixels"):
        models.build("speedrun", {}, in_channels=1, classes=10, image_size=8)


def test_an_unknown_activation_names_the_known():
    with pytest.raises(models.ImpossibleModel, match="gelu, silu, relu"):
        models.build("speedrun", {"activation": "gelux"}, in_channels=3, classes=10, image_size=32)
