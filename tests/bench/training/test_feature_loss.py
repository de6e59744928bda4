"""The loss on features, by hand on small tensors."""

import pytest
import torch

from bench.training.feature_loss import FeatureLoss, feature_distance, gram_matrix


def halves(images):
    return [images, images[..., ::2, ::2]]


def test_a_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels, a row of two pixels
    assert torch.allclose(gram_matrix(features), torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4)


def test_the_loss_is_pixels_features_and_gram_matrices_with_their_weights():
    made, wanted = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 1.0)
    # Pixels and both features are 2 apart, and their Gram matrices 9 and 1.
    assert FeatureLoss(halves, [5.0, 2.0])(made, wanted).item() == pytest.approx(2 + 5 * 2 + 25 * 8 + 2 * 2 + 4 * 8)
    assert FeatureLoss(halves, [5.0], gram=0.5)(made, wanted).item() == pytest.approx(2 + 5 * 2 + 0.5 * 25 * 8)


def test_gradients_reach_the_made_image_and_not_the_wanted_one():
    made, wanted = (torch.rand(2, 1, 4, 4, requires_grad=True) for _ in range(2))
    loss = FeatureLoss(halves, [1.0, 1.0])
    loss(made, wanted.detach()).backward()
    assert made.grad.abs().sum() > 0


def test_the_distance_is_relative_and_one_an_image():
    wanted = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), 100.0)])
    assert feature_distance(halves(wanted * 1.5), halves(wanted)).tolist() == pytest.approx([0.5, 0.5])
    assert feature_distance(halves(wanted), halves(wanted)).tolist() == [0.0, 0.0]


def test_a_gram_matrix_is_of_float32_in_half_precision_too():
    features = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = gram_matrix(features)
    assert found.dtype == torch.float32
    assert torch.equal(found, gram_matrix(features.float()))
