"""A loader whose images ffcv decodes from a beton; order and augmentation are ours, so that a seed reproduces them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.pipelines.augment import sent
from bench.pipelines.ffcv_compat import BetonLoader, EpochIterator, IntDecoder, NDArrayDecoder, ToTensor
from bench.pipelines.loader import Batch, Loader, usable_cores
from bench.pipelines.loaders.beton import beton_of
from bench.pipelines.render import Canvas, Renderer


class Decoding(EpochIterator):  # type: ignore[misc]  # ffcv has no types
    """ffcv's epoch thread, decoding the given images in the given order, and ending in all cases.

    ffcv's own thread waits forever for a batch after a transform has raised, and remains when an epoch is left early.
    """

    output_queue: Queue[Any]

    def __init__(self, loader: BetonLoader, order: npt.NDArray[np.int64]) -> None:
        self.error: BaseException | None = None
        super().__init__(loader, order)

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self.error = error
            self.output_queue.put(None)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except StopIteration:
            error, self.error = self.error, None
            if error is not None:
                raise error from None
            raise

    def close(self) -> None:
        """End the thread, at the latest after the present batch."""
        self.iter_ixes = iter(())
        self.terminate_event.set()
        while self.is_alive():
            # It may be waiting for space in the queue.
            try:
                self.output_queue.get(timeout=0.01)
            except Empty:
                continue
        # Tell a waiting consumer that there are no more batches.
        self.output_queue = Queue()
        self.output_queue.put(None)
        super().close()


class FfcvLoader(Loader):
    """Decodes in its own thread, some batches ahead; augments and normalises on the device.

    Without a `cache` folder, the beton is in a temporary one until the loader is closed. The number of workers is
    limited to the usable cores. Raises PartMissing if ffcv is not installed, DataCorrupt for a beton in the cache that
    is damaged or has other data.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._closing = ExitStack()
        folder = self.cache or Path(self._closing.enter_context(TemporaryDirectory(prefix="beton-")))
        beton = beton_of(self.dataset, self.images, "train" if self.training else "test", folder)
        cores = usable_cores()
        workers = cores if self.workers is None else max(1, min(self.workers, cores))
        self._beton = BetonLoader(
            str(beton),
            self.batch_size,
            num_workers=workers,
            pipelines={"image": [NDArrayDecoder(), ToTensor()], "label": [IntDecoder(), ToTensor()]},
            drop_last=False,
        )
        self._renderer = Renderer(self.dataset, self.augment, self.placement)

    def _batches(self, epoch: int, order: torch.Tensor) -> Generator[Batch, None, None]:
        device = self.placement.device
        order = order.cpu()
        decoding = Decoding(self._beton, order.numpy())
        try:
            # Here, while the first batch is being decoded. A later batch then brings only its pixels and labels.
            draws = self.draws(epoch)
            if device.type == "cuda":
                order, draws = order.pin_memory(), draws.pin_memory()
            order, draws = sent(order, device), draws.to(device)
            for (pixels, labels), images in zip(decoding, torch.split(order, self.batch_size), strict=True):
                # On the CPU, making a canvas already copies.
                canvas = Canvas(pixels if device.type == "cpu" else _taken(pixels, device), self.augment)
                rows = torch.arange(len(images), device=device)
                batch = self._renderer.render(canvas, rows, draws[images])
                yield batch, _taken(labels[:, 0], device)
        finally:
            decoding.close()

    def _release(self) -> None:
        self._closing.close()


def _taken(buffer: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy on the device of one of ffcv's buffers, which ffcv overwrites for later batches.

    A GPU copies from a second copy, in pinned memory that torch keeps as long as needed. To copy from the buffer
    itself, the host would have to wait for all earlier work of the GPU.
    """
    if device.type != "cuda":
        return buffer.to(device, copy=True)
    return torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=True).copy_(buffer).to(device, non_blocking=True)
