import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from bench.ingredients.cutmix import CutMix
from bench.training.examples import Examples
from bench.training.loss import Loss


def numbered(count=6, height=10, width=8):
    """Image i holds nothing but i, and so is its label."""
    labels = torch.arange(count)
    images = labels.float().view(-1, 1, 1, 1).expand(count, 3, height, width)
    return Examples(images.contiguous(memory_format=torch.channels_last), labels)


@given(st.integers(-(2**40), 2**40), st.integers(0, 10_000), st.floats(0.1, 10))
def test_labels_are_mixed_as_the_areas_are(seed, step, alpha):
    batch = numbered()
    mixed = CutMix(alpha, 1.0, seed).mix(batch, step)
    for image, label, other in zip(mixed.images, mixed.labels, mixed.others, strict=True):
        assert (image == label).double().mean().item() == pytest.approx(mixed.share)
        assert (image == other).double().mean().item() == pytest.approx(1 - mixed.share)
        assert other != label


def test_the_cut_is_a_rectangle_in_every_channel():
    mixed = CutMix(probability=1.0, seed=3).mix(numbered(), 0)
    foreign = mixed.images[2] != 2
    assert torch.equal(foreign, foreign[:1].expand_as(foreign))
    rows, columns = foreign[0].any(dim=1), foreign[0].any(dim=0)
    assert 0 < foreign[0].sum() == rows.sum() * columns.sum()


def test_the_batch_itself_stays_as_it_is():
    batch = numbered()
    before = batch.images.clone()
    mixed = CutMix(probability=1.0).mix(batch, 0)
    assert torch.equal(batch.images, before)
    assert mixed.images.is_contiguous(memory_format=torch.channels_last)


def test_draws_are_repeated_by_seed_and_step_alone():
    def shares(seed):
        return [CutMix(probability=1.0, seed=seed).mix(numbered(), step).share for step in range(20)]

    before = torch.get_rng_state()
    first = shares(0)
    assert torch.equal(before, torch.get_rng_state())
    assert first == shares(0) != shares(1)
    assert len(set(first)) > 5


def test_kept_shares_follow_the_uniform_law_that_alpha_1_asks_for():
    """Before the border clips the rectangles the kept share is uniform; clipping only keeps more."""
    side = 200
    batch = Examples(torch.zeros(2, 1, side, side), torch.arange(2))
    shares = torch.tensor([CutMix(1.0, 1.0, 0).mix(batch, step).share for step in range(1500)])
    kept_whole = torch.tensor([0.25, 0.5, 0.75])
    assert all((shares < share).double().mean() < share + 0.03 for share in kept_whole)
    # A uniform centre loses a known part: the mean cut area is ∫ (E of the covered length at side s)² over s² uniform.
    s = torch.sqrt(torch.linspace(0, 1, 100_001, dtype=torch.float64))
    expected = 1 - ((s - s**2 / 4) ** 2).mean()
    assert shares.mean().item() == pytest.approx(expected.item(), abs=0.02)


def test_batches_are_mixed_as_often_as_asked():
    batch = numbered()
    mixed = sum(CutMix(probability=0.3).mix(batch, step).others is not None for step in range(1000))
    assert 250 < mixed < 350
    assert CutMix(probability=0.0).mix(batch, 0) is batch


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_that_of_the_mixed_labels(reduction, smoothing):
    torch.manual_seed(0)
    logits, labels, others = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 2, 3, 0, 1])
    soft = 0.7 * F.one_hot(labels, 4) + 0.3 * F.one_hot(others, 4)
    expected = F.cross_entropy(logits, soft, label_smoothing=smoothing, reduction=reduction)
    assert torch.allclose(Loss(smoothing, reduction)(logits, labels, others, 0.7), expected)


def test_parts_keep_what_belongs_together():
    mixed = CutMix(probability=1.0, seed=1).mix(numbered(), 0)
    parts = list(mixed.split(3))
    assert [part.labels.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert [part.others.tolist() for part in parts] == [[5, 0], [1, 2], [3, 4]]
    assert {part.share for part in parts} == {mixed.share}
    assert torch.equal(torch.cat([part.images for part in parts]), mixed.images)
