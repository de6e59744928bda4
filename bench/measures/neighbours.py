"""Neighbours: the time to find the nearest images by brute force, and by an approximate index."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.errors import MissingError, UsageError
from bench.measures.base import Measure
from bench.pipelines.dataset import Split
from bench.runs.run import Status
from bench.spec.measure_options import NeighboursOptions

Vectors = npt.NDArray[np.float32]
HNSW_LINKS = 32  # of each vector, as HNSW's authors suggest for images


class Neighbours(Measure):
    """Both search the pixels of the recipe's data, by the same library, on the recipe's threads.

    `recall` is the share of the true `k` neighbours that the index finds. `build_s` are the seconds to build that
    index, which no other figure contains; the exact one only keeps the vectors.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:  # noqa: ARG002
        options = self.recipe.neighbours or NeighboursOptions()
        faiss = _import_faiss()
        faiss.omp_set_num_threads(torch.get_num_threads())
        with self.clock.span("data"):
            data = self.load_data()
            base, queries = vectors(data.train, options.base), vectors(data.test, options.queries)
        self.tell_data(data)
        with self.clock.span("exact_index"):
            exact = faiss.IndexFlatL2(base.shape[1])
            exact.add(base)
        with self.clock.span("approximate_index"):
            approximate = _build_approximate(faiss, options, base)
        with self.clock.span("measure"):
            brute_s, true = self._search(exact, queries, options)
            approximate_s, found = self._search(approximate, queries, options)
        self.metrics |= {
            "brute_s": brute_s / len(queries),
            "approximate_s": approximate_s / len(queries),
            "speed_up": brute_s / approximate_s,
            "recall": recall(true, found),
            "build_s": self.clock.total_s("approximate_index"),
            "vectors": len(base),
            "dimensions": base.shape[1],
        }
        return "ok", None

    def _search(self, index: Any, queries: Vectors, options: NeighboursOptions) -> tuple[float, npt.NDArray[np.int64]]:
        """Seconds of all queries, and the positions of each one's neighbours, [queries, k]."""
        parts = np.split(queries, range(options.batch, len(queries), options.batch))
        index.search(parts[0], options.k)  # which allocates
        found: list[npt.NDArray[np.int64]] = []
        span = self.timed(lambda: found.extend(index.search(part, options.k)[1] for part in parts))
        return span.duration_s, np.concatenate(found)


def vectors(split: Split, count: int) -> Vectors:
    """The first `count` images, float32 [count, C · H · W]. Raises `UsageError` where there are fewer."""
    if count > len(split):
        raise UsageError(f"neighbours: {count:,} images are asked for, and there are {len(split):,}; ask for fewer")
    return np.ascontiguousarray(split.images[:count].reshape(count, -1), dtype=np.float32)


def recall(true: npt.NDArray[np.int64], found: npt.NDArray[np.int64]) -> float:
    """The share of the `true` neighbours [queries, k] that are among those `found`."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(true, found, strict=True)]))


def _build_approximate(faiss: Any, options: NeighboursOptions, base: Vectors) -> Any:
    dimensions = base.shape[1]
    if options.index == "hnsw":
        index = faiss.IndexHNSWFlat(dimensions, HNSW_LINKS)
        index.hnsw.efSearch = options.breadth
    else:
        lists = max(1, round(len(base) ** 0.5))
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dimensions), dimensions, lists)
        index.nprobe = options.breadth
        index.train(base)
    index.add(base)
    return index


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingError(
            f"the measure neighbours needs faiss ({error}): pip install 'bench-to-accuracy[claims]'"
        ) from error
    return faiss
