import pytest
import torch
from torch import nn

from bench import models
from bench.models.cifar_resnet import Pair

DATA = {"in_channels": 3, "classes": 10, "image_size": 32}


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
@pytest.mark.parametrize("skips", [True, False])
def test_it_has_the_papers_parameters_with_skips_and_without(depth, millions, skips):
    with torch.device("meta"):
        net = models.build("cifar_resnet", {"depth": depth, "skips": skips}, **DATA)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.03)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) + 1 == depth


def test_a_skip_halves_the_image_and_pads_channels_with_zeros():
    pair = Pair(4, 8, skip=True).eval()
    nn.init.zeros_(pair.convs[-1].weight)
    images = torch.rand(2, 4, 6, 6)
    out = pair(images)
    assert torch.equal(out[:, :4], images[..., ::2, ::2])
    assert not out[:, 4:].any()
    plain = Pair(4, 8, skip=False).eval()
    nn.init.zeros_(plain.convs[-1].weight)
    assert not plain(images).equal(out)
    assert not plain(images).any()


@pytest.mark.parametrize(("depth", "nearest"), [(19, 20), (1, 8), (57, 56)])
def test_a_depth_that_does_not_fit_names_the_nearest(depth, nearest):
    with pytest.raises(models.ImpossibleModel, match=f"depth {depth} is not 6n \\+ 2; the nearest is {nearest}"):
        models.check("cifar_resnet", {"depth": depth}, **DATA)
