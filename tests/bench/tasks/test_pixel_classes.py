"""Counting right pixels, by hand on small masks."""

import pytest
import torch

from bench.tasks.pixel_classes import PixelScore, at_edges

MASK = torch.tensor([[[0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]])


def logits_of(answers, classes):
    return torch.nn.functional.one_hot(answers, classes).permute(0, 3, 1, 2).float()


def test_pixels_beside_another_class_are_at_an_edge():
    assert at_edges(MASK, None)[0].tolist() == [[False, False, False, True, True]] * 3


def test_void_is_no_other_class_and_at_no_edge():
    mask = MASK.clone()
    mask[0, :, 3] = 255  # between both classes, and wider than the window
    assert not at_edges(mask, 255).any()
    mask[0, 1, 3] = 0
    assert at_edges(mask, 255)[0].nonzero().tolist() == [[0, 4], [1, 3], [1, 4], [2, 4]]


def test_accuracy_everywhere_at_edges_and_by_class():
    answers = MASK.clone()
    answers[0, 0, 0], answers[0, 0, 4] = 1, 0  # one wrong in the middle of a class, one at the edge
    score = PixelScore(2, None, torch.device("cpu"))
    score.add(logits_of(answers, 2), MASK)
    assert score.figures() == pytest.approx(
        {"pixel_accuracy": 13 / 15, "edge_accuracy": 5 / 6, "mean_iou": (11 / 13 + 2 / 4) / 2}
    )


def test_void_does_not_count_whatever_the_answer():
    mask, score = MASK.clone(), PixelScore(2, 255, torch.device("cpu"))
    mask[0, :, 4] = 255
    score.add(logits_of(torch.ones_like(MASK), 2), mask)
    score.add(logits_of(torch.zeros_like(MASK), 2), mask)
    assert score.figures() == {"pixel_accuracy": 0.5, "mean_iou": pytest.approx(0.25)}


def test_a_class_that_never_occurs_is_left_out_of_the_mean():
    score = PixelScore(5, None, torch.device("cpu"))
    score.add(logits_of(MASK, 5), MASK)
    assert score.figures()["mean_iou"] == 1.0
