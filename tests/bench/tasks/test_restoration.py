"""The task restoration on made-up squares."""

import pytest
import torch
from pydantic import ValidationError

from bench.errors import UsageError
from bench.models.encoder import EncoderNet
from bench.models.unet import image_unet
from bench.tasks.dense_settings import RestorationSettings
from bench.tasks.restoration import Restoration
from bench.training.trained_net import TrainedNet
from tests.bench.tasks.pairs import MEAN, STD, TOTAL_BATCHES, batch, pairs, parts


def seeing(net=None):
    torch.manual_seed(1)
    return {"features": TrainedNet((net or EncoderNet(3, 10, 16, [8, 8, 8])).eval().requires_grad_(False), MEAN, STD)}


def task(data=None, nets=None, **settings):
    torch.manual_seed(0)
    made = parts(image_unet(3, 2, 16, widths=[8, 16]), data or pairs("images"), nets or {})
    return Restoration(RestorationSettings(name="restoration", **settings), made)


@pytest.mark.parametrize("loss", ["mse", "l1", "features"])
def test_it_takes_the_noise_away(loss):
    one = task(nets=seeing(), loss=loss, features="some")
    one.begin()
    before = one.evaluate()
    for position in range(TOTAL_BATCHES):
        one.step(batch(one.parts), position)
    after = one.evaluate()
    assert after["psnr_db"] > before["psnr_db"] + 3
    assert after["feature_distance"] < before["feature_distance"]
    assert after["damaged_psnr_db"] == before["damaged_psnr_db"] == pytest.approx(22, abs=1)
    assert after["damaged_sharpness"] > 2


def test_without_a_classifier_there_is_no_distance():
    assert set(task().evaluate()) == {
        "psnr_db",
        "sharpness",
        "damaged_psnr_db",
        "damaged_sharpness",
        "damage_left",
    }


def test_the_classifier_is_not_trained():
    nets = seeing()
    one = task(nets=nets, loss="features", features="some")
    one.begin()
    before = [parameter.clone() for parameter in nets["features"].net.parameters()]
    one.step(batch(one.parts), 0)
    assert all(torch.equal(a, b) for a, b in zip(before, nets["features"].net.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in nets["features"].net.parameters())


def test_images_are_half_as_large_until_then():
    one = task(half_size_until=0.5)
    one.begin()
    known = batch(one.parts)
    for position, side in ((0, 8), (TOTAL_BATCHES // 2 - 1, 8), (TOTAL_BATCHES // 2, 16)):
        assert [part.shape[-1] for part in one.seen(known.images, known.labels, position)] == [side, side]


def test_a_feature_loss_names_its_classifier():
    with pytest.raises(ValidationError, match=r"task.features: name the classifier whose features are compared"):
        RestorationSettings(name="restoration", loss="features")


def test_a_feature_loss_without_its_classifier_is_refused():
    with pytest.raises(UsageError, match="features are compared by a classifier, which only a whole training loads"):
        task(loss="features", features="some")


@pytest.mark.parametrize(
    ("net", "weights", "said"),
    [
        (torch.nn.Linear(3, 2), [1.0], "task.features: Linear has no encoder whose features could be compared"),
        (EncoderNet(3, 10, 16, [8, 8]), [5.0, 15.0, 2.0], "task.feature_weights: 3 weights for 2 features"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(net, weights, said):
    with pytest.raises(UsageError, match=said):
        task(nets=seeing(net), loss="features", features="some", feature_weights=weights)


@pytest.mark.parametrize("targets", ["none", "classes"])
def test_data_without_whole_images_are_refused(targets):
    with pytest.raises(UsageError, match="restoration needs data with a whole image for each damaged one"):
        task(pairs(targets))


def test_its_picture_shows_damaged_restored_and_whole():
    one = task()
    picture = one.pictures()["before_after"]
    assert picture.dtype == torch.uint8
    whole = picture[:, 2:98, -98:-2]  # of the first row, each pixel six times as wide and high
    assert set(whole.flatten().tolist()) == {100, 200}
    damaged = picture[:, 2:98, 2:98]
    assert len(set(damaged.flatten().tolist())) > 20
