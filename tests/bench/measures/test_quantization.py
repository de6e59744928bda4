import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench import models
from bench.host.fingerprint import lack_of_precision
from bench.ingredients.pooled_conv import PooledConv
from bench.measures.fusion import fold_batch_norms
from bench.measures.quantization import Int8Conv, quantize_convs

pytestmark = pytest.mark.skipif(lack_of_precision("int8", "cpu") is not None, reason="this CPU has no VNNI")

CONVS = {
    "plain": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same"},
    "same, of an even kernel": {"kernel_size": 2, "padding": "same"},
    "strided and dilated": {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": (2, 1)},
    "grouped": {"kernel_size": 3, "padding": 1, "groups": 2},
    "reflecting": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "without bias": {"kernel_size": 1, "bias": False},
}


def whole(shape: tuple[int, ...], low: int, high: int) -> torch.Tensor:
    return torch.randint(low, high + 1, shape).float()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CONVS)
@torch.no_grad()
def test_whole_numbers_are_computed_exactly_to_the_edge_of_the_image(name):
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 8, **CONVS[name])
    conv.weight.copy_(whole(conv.weight.shape, -127, 127))
    conv.weight[:, 0, 0, 0] = 127
    if conv.bias is not None:
        conv.bias.copy_(whole(conv.bias.shape, -999, 999))
    # A range of 255, so that the scale is 1.
    images = whole((3, 64, 9, 11), -40, 215)
    images[0, 0, 0, :2] = torch.tensor([-40.0, 215.0])
    expected = conv(images)
    net = nn.Sequential(conv)
    assert quantize_convs(net, images) == (1, 0)
    assert isinstance(net[0], Int8Conv)
    assert torch.allclose(net(images), expected, rtol=1e-6, atol=0.01)
    assert torch.equal(net(images[:1]), net(images)[:1])


@pytest.mark.parametrize(
    ("name", "options", "quantized", "left"),
    [
        # The first two see 3 and 24 channels.
        ("speedrun", {"widths": [32, 64, 64], "logit_scale": 1.0}, 5, 2),
        ("resnet9", {"widths": [16, 32, 64, 64]}, 6, 2),
        ("torchvision:resnet18", {"small_stem": True}, 19, 1),
    ],
)
@torch.no_grad()
def test_a_net_in_int8_computes_nearly_the_same(name, options, quantized, left):
    torch.manual_seed(0)
    net = models.build(name, options, in_channels=3, classes=10, image_size=32)
    images = torch.randn(16, 3, 32, 32)
    net.train()
    net(images)  # for the statistics
    net = fold_batch_norms(net.eval()).model
    expected = net(images)
    with FlopCounterMode(display=False) as usual:
        net(images)
    assert quantize_convs(net, images) == (quantized, left)
    with FlopCounterMode(display=False) as counter:
        found = net(images)
    assert counter.get_total_flops() == usual.get_total_flops()
    assert 0 < (found - expected).norm() < 0.1 * expected.norm()


@torch.no_grad()
def test_numbers_keep_their_type_when_the_rest_is_in_half_precision():
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Conv2d(32, 16, 3), nn.ReLU()), torch.randn(4, 32, 8, 8)
    quantize_convs(net, images)
    expected = net(images)
    net.to(torch.bfloat16).to(memory_format=torch.channels_last)
    found = net(images.bfloat16())
    assert found.dtype == torch.bfloat16
    assert net[0].bias.dtype == torch.float32
    assert (found.float() - expected).norm() < 0.02 * expected.norm()


@torch.no_grad()
def test_values_beyond_the_calibrated_range_are_cut_off():
    conv = nn.Conv2d(32, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    net = nn.Sequential(conv)
    quantize_convs(net, torch.linspace(-1, 2, 320).view(10, 32, 1, 1))
    far = torch.full((1, 32, 1, 1), 100.0)
    assert net(torch.cat([far, -far])).flatten().tolist() == pytest.approx([64, -32], rel=0.01)


def test_a_conv_that_is_never_used_or_computes_more_is_left():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(32, 8, 1), nn.Conv2d(32, 8, 1)
            self.pooled = PooledConv.of(nn.Conv2d(32, 8, 3, padding=1))

        def forward(self, x):
            return self.used(x) + self.pooled.forward(x).mean()

    assert quantize_convs(Net().eval(), torch.randn(2, 32, 4, 4)) == (1, 2)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(32, 8, 1)

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (nn.Sequential(nn.Conv2d(32, 8, 3, groups=8)), "no conv of this network sees 32 or more input channels"),
        (nn.Sequential(PooledConv.of(nn.Conv2d(32, 8, 3, padding=1))), "fits: 1 of the kind PooledConv, which int8"),
        (Unused(), "fits: 1 never called"),
    ],
    ids=["narrow", "of another kind", "never called"],
)
def test_a_net_without_a_conv_that_fits_is_refused_with_the_reason(net, reason):
    with pytest.raises(ValueError, match=reason):
        quantize_convs(net.eval(), torch.randn(2, 32, 8, 8))
