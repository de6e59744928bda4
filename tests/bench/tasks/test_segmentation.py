"""The task segmentation on made-up squares."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.models.encoder import EncoderNet
from bench.models.unet import unet
from bench.tasks.dense_settings import SegmentationSettings
from bench.tasks.segmentation import Segmentation
from bench.training.examples import Examples
from bench.training.trained_net import TrainedNet
from tests.bench.tasks.pairs import MEAN, STD, TOTAL_BATCHES, batch, pairs, parts

WIDTHS = [8, 16]


def task(data=None, nets=None, **settings):
    torch.manual_seed(0)
    made = parts(unet(3, 2, 16, widths=WIDTHS), data or pairs("classes"), nets or {})
    return Segmentation(SegmentationSettings(name="segmentation", **settings), made)


def test_it_learns_the_squares():
    one = task()
    one.begin()
    before = one.evaluate()
    losses = [one.step(batch(one.parts), position).item() for position in range(TOTAL_BATCHES)]
    after = one.evaluate()
    assert losses[-1] < 0.5 * losses[0]
    assert after["pixel_accuracy"] > max(before["pixel_accuracy"], 0.9)
    assert set(after) == {"pixel_accuracy", "edge_accuracy", "mean_iou"}
    assert one.parts.model.training


def test_void_pixels_teach_nothing():
    one = task(pairs("classes", void=1))
    one.begin()
    known = batch(one.parts)
    logits = one.parts.model(known.images)
    of_class_0 = torch.nn.functional.cross_entropy(logits, torch.zeros_like(known.labels), reduction="none")
    assert one.loss(logits, known.labels).item() == pytest.approx(of_class_0[known.labels == 0].mean().item())
    assert one.evaluate()["pixel_accuracy"] < 1


def test_a_loss_that_is_no_number_is_returned_and_not_hidden():
    one = task()
    one.begin()
    images = torch.full_like(batch(one.parts).images, math.nan)
    assert math.isnan(one.step(Examples(images, batch(one.parts).labels), 0).item())


def test_the_encoder_begins_with_a_classifiers_weights_and_is_frozen_until_then():
    torch.manual_seed(1)
    classifier = EncoderNet(3, 10, 16, WIDTHS)
    one = task(nets={"encoder": TrainedNet(classifier, MEAN, STD)}, encoder="some", frozen_until=0.5)
    one.begin()
    encoder, trained = one.model.encoder, classifier.encoder
    for position in range(TOTAL_BATCHES // 2):
        one.step(batch(one.parts), position)
    convs = [name for name, parameter in encoder.named_parameters() if parameter.ndim > 1]
    assert all(torch.equal(encoder.get_parameter(name), trained.get_parameter(name)) for name in convs)
    assert not torch.equal(encoder.stages[0][1].weight, trained.stages[0][1].weight)
    one.step(batch(one.parts), TOTAL_BATCHES // 2)
    assert not any(torch.equal(encoder.get_parameter(name), trained.get_parameter(name)) for name in convs)


def test_weights_of_another_encoder_are_refused():
    nets = {"encoder": TrainedNet(EncoderNet(3, 10, 16, [8, 12]), MEAN, STD)}
    with pytest.raises(UsageError, match=r"task.encoder: its weights do not fit .* set model.encoder and model.widths"):
        task(nets=nets, encoder="some")


@pytest.mark.parametrize("targets", ["none", "images"])
def test_data_without_classes_of_pixels_are_refused(targets):
    with pytest.raises(UsageError, match="segmentation needs data with the class of each pixel, which squares has not"):
        task(pairs(targets))


def test_test_images_that_are_void_alone_are_refused():
    data = pairs("classes", void=1)
    nothing = replace(data.test, targets=np.ones_like(data.test.targets))
    with pytest.raises(UsageError, match=r"data.void: every pixel of the test images of squares is void \(1\)"):
        task(replace(data, test=nothing))


def test_its_picture_has_a_row_for_each_image():
    one = task()
    picture = one.pictures()["before_after"]
    assert (picture.dtype, picture.shape[0]) == (torch.uint8, 3)
    assert picture.shape[1] > picture.shape[2] >= 3 * 16
