"""How well the classes of pixels are found: in all, and where classes meet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# A pixel is at an edge if another class is among it and its eight neighbours.
WINDOW = 3


class PixelScore:
    """Counts right answers over the batches of an evaluation, on the device; pixels of value `void` do not count."""

    def __init__(self, classes: int, void: int | None, device: torch.device) -> None:
        self._classes, self._void = classes, void
        # Pixels by class and answer, and behind them those that do not count; right ones at edges, and all at edges.
        self._pixels = torch.zeros(classes**2 + 1, dtype=torch.int64, device=device)
        self._at_edges = torch.zeros(2, dtype=torch.int64, device=device)

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Of logits [B, classes, H, W] and targets int64 [B, H, W]."""
        answers, known = logits.argmax(dim=1), _known(targets, self._void)
        cells = torch.where(known, targets * self._classes + answers, self._classes**2).flatten()
        self._pixels.scatter_add_(0, cells, torch.ones_like(cells))
        edges = at_edges(targets, self._void)
        self._at_edges += torch.stack([(edges & (answers == targets)).sum(), edges.sum()])

    def figures(self) -> dict[str, float]:
        """`pixel_accuracy`, `edge_accuracy` (where there are edges) and `mean_iou`, each in [0, 1].

        The last is the mean, over the classes that occur, of pixels in both over pixels in either.
        """
        pixels = self._pixels[:-1].view(self._classes, self._classes).double().cpu()
        right_at_edges, all_at_edges = self._at_edges.tolist()
        right, either = pixels.diag(), pixels.sum(0) + pixels.sum(1) - pixels.diag()
        figures = {
            "pixel_accuracy": (right.sum() / pixels.sum()).item(),
            "mean_iou": (right[either > 0] / either[either > 0]).mean().item(),
        }
        return figures | ({"edge_accuracy": right_at_edges / all_at_edges} if all_at_edges else {})


def at_edges(targets: Tensor, void: int | None) -> Tensor:
    """Which pixels of [B, H, W] have another class in their window; void is none. bool [B, H, W]."""
    known = _known(targets, void)
    highest, lowest = (
        F.max_pool2d(values.float().masked_fill(~known, -torch.inf)[:, None], WINDOW, 1, WINDOW // 2)[:, 0]
        for values in (targets, -targets)
    )
    return known & (highest != -lowest)


def _known(targets: Tensor, void: int | None) -> Tensor:
    return torch.ones_like(targets, dtype=torch.bool) if void is None else targets != void
