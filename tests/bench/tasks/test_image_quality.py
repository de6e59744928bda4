"""Figures of restored images, by hand."""

import pytest
import torch

from bench.tasks.image_quality import ImageScore, contrast, psnr_db

CPU = torch.device("cpu")


def test_psnr_by_hand():
    whole = torch.zeros(2, 3, 4, 4)
    made = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert psnr_db(made, whole).tolist() == pytest.approx([20.0, 40.0], abs=1e-4)
    assert psnr_db(whole, whole).tolist() == pytest.approx([100.0, 100.0])


def test_contrast_is_of_neighbours_in_rows_and_columns():
    stripes = torch.zeros(1, 1, 4, 4)
    stripes[..., ::2] = 1.0
    assert contrast(stripes).tolist() == [0.5]
    assert contrast(torch.ones(2, 3, 4, 4)).tolist() == [0.0, 0.0]


def test_figures_are_means_over_images_and_not_over_batches():
    score, whole = ImageScore(None, CPU), torch.rand(3, 1, 2, 2)
    score.add(whole + 0.1, whole + 0.01, whole)
    score.add(whole[:1] + 1.0, whole[:1] + 1.0, whole[:1])
    figures = score.figures()
    assert (figures["psnr_db"], figures["damaged_psnr_db"]) == pytest.approx((30.0, 15.0), abs=1e-3)
    assert figures["sharpness"] == pytest.approx(1.0, abs=1e-3)


def test_what_is_left_of_damage_is_of_the_pixels_it_changed():
    whole = torch.full((2, 3, 4, 4), 0.5)
    damaged, made = whole + 0.01, whole + 0.3
    damaged[:, 1, 0, 0] = 0.9
    made[:, :, 0, 0] = 0.5
    made[0, 1, 0, 0], made[1, 1, 0, 0] = 0.7, 0.5
    score = ImageScore(None, CPU)
    score.add(damaged, made, whole)
    # Each image had an error of .4² in one value, and .01² in two; .2² is left in one image.
    assert score.figures()["damage_left"] == pytest.approx(0.2**2 / (2 * (0.4**2 + 2 * 0.01**2)), rel=1e-4)


def test_without_damage_nothing_is_said_of_what_is_left():
    score, whole = ImageScore(None, CPU), torch.rand(2, 3, 4, 4)
    score.add(whole, whole, whole)
    assert "damage_left" not in score.figures()


def test_a_blurred_image_is_less_sharp():
    whole = torch.rand(2, 3, 8, 8)
    blurred = torch.nn.functional.avg_pool2d(whole, 3, stride=1, padding=1)
    score = ImageScore(None, CPU)
    score.add(blurred, whole, whole)
    assert score.figures()["damaged_sharpness"] < 0.6 < score.figures()["sharpness"]


def test_with_features_their_distance_is_measured_too():
    score, whole = ImageScore(lambda images: [images], CPU), torch.full((2, 1, 2, 2), 0.5)
    score.add(whole, whole * 1.2, whole)
    assert score.figures()["feature_distance"] == pytest.approx(0.2)
    assert score.figures()["damaged_feature_distance"] == 0.0
