"""The loader of text: batches of token rows, in the order of the text."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from bench.pipelines.augment import Augment, Draws
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Batch
from bench.pipelines.loaders.on_device import OnDeviceLoader


class TokenLoader(OnDeviceLoader):
    """Tokens int64 [B, T] and the tokens to predict, int64 [B, T] or [B].

    Nothing is shuffled, so that a network that keeps its state reads on. Raises WrongOption if a batch does not have
    one piece of each stream, and for an augmentation.
    """

    reads_text = True
    shuffles = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        streams = self.dataset.streams
        if self.batch_size != streams:
            raise WrongOption(
                f"batch size is {self.batch_size}; {self.dataset.name} is a text in {streams} streams, and a batch has "
                f"a piece of each: set batch_size and evaluation.batch_size to {streams}, or data.streams to another"
            )
        if self.augment != Augment():
            raise WrongOption("augment: words are not augmented; leave it out")
        device = self.placement.device
        self._tokens = torch.from_numpy(self.images.images).flatten(1).to(device, torch.int64)
        self._labels = torch.from_numpy(self.images.labels).to(device, torch.int64)

    def _shuffle(self, epoch: int) -> torch.Tensor:  # noqa: ARG002 - every epoch is the text
        return torch.arange(len(self.images))

    def _delivered(self, order: torch.Tensor, draws: Draws) -> Generator[Batch, None, None]:  # noqa: ARG002
        for rows in torch.split(order, self.batch_size):
            yield self._tokens[rows], self._labels[rows]

    def _release(self) -> None:
        del self._tokens, self._labels
