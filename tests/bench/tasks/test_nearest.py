import numpy as np
import pytest
import torch

from bench.tasks import nearest
from bench.tasks.nearest import nearest_distances


def test_it_is_what_a_loop_over_all_images_finds(monkeypatch):
    monkeypatch.setattr(nearest, "CHUNK", 7)  # not a divisor of the count
    others = np.random.default_rng(0).integers(0, 256, (30, 3, 4, 4), dtype=np.uint8)
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    by_hand = [min(np.sqrt(np.mean((one.numpy() - other / 255) ** 2)) for other in others) for one in images]
    assert nearest_distances(images, others).numpy() == pytest.approx(np.array(by_hand), abs=1e-5)
