"""Resize: JPEG files to small squares of pixels, by a library, one after the other or by a pool; and read again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.measures.base import Measure
from bench.pipelines.jpegs import find_jpegs, fingerprint, make_jpegs
from bench.pipelines.resizing import Pool, open_rows, pool
from bench.runs.run import Status
from bench.spec.measure_options import ResizeOptions

# Rows that are read at once, as a batch is.
BATCH = 256


class Resize(Measure):
    """One pass over the files, whose pixels go into a memory-mapped array; then one over that array, shuffled.

    The first is what every epoch costs that decodes again, the second what it costs once the pixels are stored. Workers
    have started, and have their library, before the clock runs. Files and array are in the system's page cache.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:  # noqa: ARG002
        options = self.recipe.resize or ResizeOptions()
        with self.clock.span("data"):
            paths = self._files(options)
            digest, jpeg_bytes = fingerprint(paths)
        name = "jpegs" if options.folder is None else f"jpegs of {options.folder}"
        self.tell("facts", data={"name": name, "fingerprint": digest, "train_count": len(paths)})
        self.metrics |= {"images": len(paths), "jpeg_bytes": jpeg_bytes}
        with tempfile.TemporaryDirectory(prefix="resized-") as folder:
            self._measure(options, paths, Path(folder) / "pixels.u8")
        return "ok", None

    def _measure(self, options: ResizeOptions, paths: list[Path], file: Path) -> None:
        count, pixels = len(paths), options.pixels
        with self.clock.span("build"):
            open_rows(file, count, pixels, "w+")[:] = 0
        with ExitStack() as stack:
            with self.clock.span("warm_up"):
                made = pool(options.method, options.how, options.workers, pixels, file, options.simd is not False)
                workers = stack.enter_context(made)
            with self.clock.span("measure"):
                first_s = self.timed(lambda: self._resize(workers, paths)).duration_s
        with self.clock.span("stored"):
            stored_s = self.timed(lambda: self._read(file, count, pixels)).duration_s
        self.metrics |= {
            "first_pass_s": first_s,
            "images_per_s": count / first_s,
            "stored_pass_s": stored_s,
            "stored_images_per_s": count / stored_s,
            "stored_bytes": file.stat().st_size,
        }

    def _files(self, options: ResizeOptions) -> list[Path]:
        if options.folder is None:
            return make_jpegs(options.images, self.job.cache)
        return find_jpegs(Path(options.folder), options.images)

    def _resize(self, workers: Pool, paths: list[Path]) -> None:
        for done in workers.run(paths, len(paths)):
            self.tell_step(done, done)

    def _read(self, file: Path, count: int, pixels: int) -> None:
        rows = open_rows(file, count, pixels)
        for batch in _shuffled_batches(count, self.job.seed):
            rows[batch].sum(dtype=np.uint8)  # every pixel is read


def _shuffled_batches(count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    order = np.random.default_rng(seed).permutation(count)
    yield from np.split(order, range(BATCH, count, BATCH))
