import numpy as np
import pytest
import torch

from bench.pipelines.dataset import Dataset, Split
from bench.tasks.pixels import Tanh, grid, pixels_of


def test_a_loaders_images_become_those_of_a_tanh():
    pixels = torch.tensor([0.0, 0.25, 1.0]).view(1, 3, 1, 1)
    nothing = Split(np.zeros((0, 3, 1, 1), np.uint8), np.zeros(0, np.int64))
    data = Dataset("d", nothing, nothing, 2, (0.5, 0.4, 0.3), (0.2, 0.1, 0.3), official=None)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (data.mean, data.std))
    made = Tanh(data, torch.device("cpu"), torch.float32)((pixels - mean) / std)
    assert made.flatten().tolist() == pytest.approx([-1, -0.5, 1], abs=1e-6)


def test_pixels_are_between_0_and_1():
    assert pixels_of(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), torch.device("cpu")).flatten().tolist() == [0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_each_image_in_its_place(channels):
    images = torch.linspace(0, 1, 5).view(5, 1, 1, 1).expand(5, channels, 4, 4)
    drawn = grid(images, columns=3)
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (3, 2 * 6 + 2, 3 * 6 + 2))
    middles = drawn[:, 4::6, 4::6]
    assert middles[0].tolist() == [[0, 64, 128], [191, 255, 255]]
    assert torch.equal(middles[0], middles[2])


def test_what_is_out_of_range_is_as_dark_or_bright_as_can_be():
    assert grid(torch.tensor([-3.0, 7.0]).view(2, 1, 1, 1), columns=2)[0, 2, [2, 5]].tolist() == [0, 255]
