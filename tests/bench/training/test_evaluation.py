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


def test_level_2_may_be_the_plain_mean_of_six_views():
    images = torch.randn(4, 3, 8, 8)
    padded = F.pad(images, (1,) * 4, "reflect")
    views = [view for x in (images, padded[..., :8, :8], padded[..., 2:, 2:]) for view in (x, x.flip(-1))]
    expected = torch.stack([patchwise(view) for view in views]).mean(0)
    found = evaluation.logits(patchwise, images, 2, equal_views=True)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(evaluation.logits(patchwise, images, 2, patchwise(images), equal_views=True), found)


@pytest.mark.parametrize("below", [None, 1 - 1e-6])
def test_accuracy_weighs_the_views_as_it_is_told(precision, below):
    images, labels = 0.1 * torch.randn(200, 3, 8, 8), torch.arange(200) % 5
    for equal in (False, True):
        answers = evaluation.logits(patchwise, images, 2, equal_views=equal).argmax(1)
        found = evaluation.evaluate(
            Unsure(), [(images, labels)], precision, 2, tta_below=below, equal_views=equal
        ).accuracy
        assert found == pytest.approx((answers == labels).float().mean().item())


def test_accuracy_counts_every_image_of_uneven_batches(precision):
    model = nn.Flatten()
    logits = torch.eye(7)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 0])
    batches = [(logits[:4], labels[:4]), (logits[4:], labels[4:])]
    assert evaluation.evaluate(model, batches, precision).accuracy == pytest.approx(5 / 7)


class Unsure(nn.Module):
    """Answers by the pixels' projection, which views change, and counts the images that it saw, by batch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(len(images))
        return patchwise(images)


@pytest.mark.parametrize("tta", [1, 2])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("same_size", [False, True])
def test_only_images_below_the_confidence_get_further_views(precision, tta, memory_format, same_size):
    images = 0.1 * torch.randn(50, 3, 8, 8).contiguous(memory_format=memory_format)
    labels = torch.arange(50) % 5
    confidence = patchwise(images).softmax(1).amax(1)
    below = confidence.sort().values[30].item()
    model = Unsure()
    if same_size:
        model._orig_mod = None  # as a compiled network has
    batches = list(zip(images.split(20), labels.split(20), strict=True))
    found = evaluation.evaluate(model, batches, precision, tta, tta_below=below).accuracy
    alone = evaluation.logits(patchwise, images, tta)
    answers = torch.where((confidence >= below)[:, None], patchwise(images), alone).argmax(1)
    assert found == pytest.approx((answers == labels).float().mean().item())
    more = 1 if tta == 1 else 5
    assert model.seen == [20, 20, 10] + [20] * more + [20 if same_size else 10] * more


@pytest.mark.parametrize("below", [1e-6, 1 - 1e-6])
def test_where_nobody_or_everybody_is_unsure_it_is_a_plain_evaluation(precision, below):
    images, labels = 0.1 * torch.randn(30, 3, 8, 8), torch.arange(30) % 5
    model = Unsure()
    plain = evaluation.evaluate(model, [(images, labels)], precision, tta=0 if below < 0.5 else 2).accuracy
    assert evaluation.evaluate(model, [(images, labels)], precision, 2, tta_below=below).accuracy == plain
    assert len(model.seen) == (1 + 1 if below < 0.5 else 6 + 6)


def test_an_images_answer_does_not_depend_on_the_others(precision):
    images, model = 0.1 * torch.randn(40, 3, 8, 8), Unsure()
    below = patchwise(images).softmax(1).amax(1).median().item()

    def right(batches):
        return [
            round(evaluation.evaluate(model, [b], precision, 2, tta_below=below).accuracy * len(b[1])) for b in batches
        ]

    labels = patchwise(images).argmax(1)
    together = right([(images, labels)])
    assert together == [sum(right(list(zip(images.split(1), labels.split(1), strict=True))))]
    assert together != [40]


def test_accuracy_evaluates_in_eval_mode_and_trains_on(precision):
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(5))
    before = model[1].running_mean.clone()
    evaluation.evaluate(model, [(torch.randn(3, 5), torch.zeros(3, dtype=torch.long))], precision)
    assert torch.equal(model[1].running_mean, before)
    assert model.training


@pytest.mark.parametrize("tta", [0, 1, 2])
def test_cross_entropy_is_that_of_every_image_by_its_views(precision, tta):
    images, labels = torch.randn(50, 3, 8, 8), torch.arange(50) % 5
    batches = [(images[:32], labels[:32]), (images[32:], labels[32:])]
    expected = F.cross_entropy(evaluation.logits(patchwise, images, tta), labels)
    found = evaluation.evaluate(Unsure(), batches, precision, tta)
    assert found.cross_entropy == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("below", "tta"), [(1e-6, 0), (1 - 1e-6, 2)])
def test_cross_entropy_is_of_the_views_that_an_image_got(precision, below, tta):
    images, labels = 0.1 * torch.randn(50, 3, 8, 8), torch.arange(50) % 5
    expected = evaluation.evaluate(Unsure(), [(images, labels)], precision, tta)
    found = evaluation.evaluate(Unsure(), [(images, labels)], precision, 2, tta_below=below)
    assert found.cross_entropy == pytest.approx(expected.cross_entropy)


def test_cross_entropy_of_a_text_is_by_token(precision):
    logits, labels = torch.randn(4, 7, 3), torch.randint(7, (4, 3))
    found = evaluation.evaluate(nn.Identity(), [(logits, labels)], precision)
    assert found.cross_entropy == pytest.approx(F.cross_entropy(logits, labels).item())
