"""What the resident loader does ahead of time on a GPU, and changes no batch."""

from __future__ import annotations

import torch

from pipelines.augment import Augment
from pipelines.dataset import Dataset
from pipelines.loader import Placement
from pipelines.loaders import make_loader


def test_what_is_drawn_ahead_is_what_would_be_drawn_in_time(dataset: Dataset) -> None:
    augment = Augment("alternating", 2, "reflect", 3, 0.1, 0.1)
    placement = Placement(torch.device("cpu"))
    ahead, plain = (make_loader("resident", dataset, "train", 8, augment, placement, 0, None, None) for _ in range(2))
    ahead._looks_ahead = True  # type: ignore[attr-defined]
    with ahead, plain:
        for epoch in (0, 1, 2, 5, 6):
            for left, right in zip(ahead.epoch(epoch), plain.epoch(epoch), strict=True):
                assert torch.equal(left[0], right[0])
                assert torch.equal(left[1], right[1])
            assert ahead._ahead[0] == epoch + 1  # type: ignore[attr-defined]
