import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.training import evaluation
from bench.training.device import Device
from bench.training.precision import Precision


@pytest.fixture
def precision():
    return Precision("fp32", Device("cpu"))


def patchwise(images):
    """A forward that is sensitive to flips and shifts: a fixed random projection of the pixels."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(images[0].numel(), 5, generator=generator)
    return images.flatten(1) @ weights


def test_level_0_is_the_forward():
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(evaluation.logits(patchwise, images, 0), patchwise(images))


def test_level_1_is_the_mean_over_the_mirror():
    images = torch.randn(4, 3, 8, 8)
    expected = (patchwise(images) + patchwise(images.flip(-1))) / 2
    assert torch.allclose(evaluation.logits(patchwise, images, 1), expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_level_2_weighs_the_centre_half_and_two_corners_a_quarter_each(memory_format):
    images = torch.randn(4, 3, 8, 8).contiguous(memory_format=memory_format)
    padded = F.pad(images, (1,) * 4, "reflect")

    def mirrored(x):
        return (patchwise(x) + patchwise(x.flip(-1))) / 2

    corners = mirrored(padded[..., :8, :8]) + mirrored(padded[..., 2:, 2:])
    expected = 0.5 * mirrored(images) + 0.25 * corners
    assert torch.allclose(evaluation.logits(patchwise, images, 2), expected, atol=1e-5)


def test_accuracy_counts_every_image_of_uneven_batches(precision):
    model = nn.Flatten()
    logits = torch.eye(7)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 0])
    batches = [(logits[:4], labels[:4]), (logits[4:], labels[4:])]
    assert evaluation.accuracy(model, batches, precision) == pytest.approx(5 / 7)


def test_accuracy_evaluates_in_eval_mode_and_trains_on(precision):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(5))
    before = model[1].running_mean.clone()
    evaluation.accuracy(model, [(torch.randn(3, 5), torch.zeros(3, dtype=torch.long))], precision)
    assert torch.equal(model[1].running_mean, before)
    assert model.training
