import pytest
import torch
from torch import nn

from bench import models
from bench.models import ImpossibleModel
from bench.models.cyclegan import CycleGan, Generator, PatchCritic


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


def test_a_generator_has_the_published_number_of_parameters():
    assert count(Generator()) == 11_378_179


def test_a_critic_has_the_published_number_of_parameters():
    assert count(PatchCritic()) == 2_764_737


def test_a_critic_scores_30_by_30_patches_of_256_pixels():
    with torch.device("meta"):
        assert PatchCritic()(torch.empty(1, 3, 256, 256)).shape == (1, 1, 30, 30)
        assert Generator()(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)


@pytest.mark.parametrize("pixels", [24, 28, 32])
@pytest.mark.parametrize("upsample", ["transposed_k3", "upsample", "shuffle_icnr"])
def test_every_size_and_upsampling_is_restored_and_scored(pixels, upsample):
    net = models.build(
        "cyclegan", {"filters": 4, "blocks": 1, "upsample": upsample}, in_channels=3, classes=2, image_size=pixels
    )
    images = torch.rand(2, 3, pixels, pixels)
    translated = net(images)
    assert translated.shape == images.shape
    assert translated.abs().max() <= 1
    assert net.critic_b(translated).isfinite().all()


def test_convs_start_from_a_narrow_normal_distribution_and_without_bias():
    torch.manual_seed(0)
    net = CycleGan(image_size=32, filters=16, blocks=2)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    weights = torch.cat([conv.weight.flatten() for conv in convs])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert not any(conv.bias.any() for conv in convs)


def test_the_norms_have_no_weights():
    assert not any(count(module) for module in CycleGan(filters=4).modules() if isinstance(module, nn.InstanceNorm2d))


@pytest.mark.parametrize(
    ("options", "facts", "said"),
    [
        ({}, {"image_size": 30}, "images of 30 pixels.*multiple of 4 from 24 on, as 32 is"),
        ({}, {"image_size": 8}, "as 24 is"),
        ({}, {"classes": 3}, "between two kinds of images, and the data has 3"),
        ({"filters": 0}, {}, "filters"),
        ({"blocks": -1}, {}, "blocks: -1 is not between 0 and"),
        ({"upsample": "bicubic"}, {}, "bicubic"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(options, facts, said):
    with pytest.raises(ImpossibleModel, match=said):
        models.check("cyclegan", options, **{"in_channels": 3, "classes": 2, "image_size": 32} | facts)
