"""Values of several cells that share blocks: what a block, such as a seed or a host, adds to all its values alike.

Cells that are compared with the same seeds have the seeds' effects in common, and these cancel in every comparison. So
does what the machine did while a seed was run in all cells, one after the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
# Deviations that are this much smaller than the values are rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Unblocked:
    """The samples without the effects of their blocks, which took `taken` degrees of freedom; `left` are for the error.

    `widening` holds, for each sample, the factor by which the variance within it is now too small for its mean: for the
    degrees that were taken, and for the effects of blocks that the sample lacks, which others alone tell.
    """

    samples: tuple[Floats, ...]
    widening: Floats
    taken: int
    left: int


def without_blocks(samples: Sequence[Sequence[float]], blocks: Sequence[Sequence[Hashable]]) -> Unblocked | None:
    """Subtract the effect of each block, by least squares of an additive model of cells and blocks (the analysis of
    incomplete blocks: Yates, Annals of Eugenics 7, 1936).

    `blocks` names the block of each value of each sample. The effects of blocks that are compared with each other have
    the mean 0, so that a sample with all blocks keeps its mean. None where no block is in two samples, or where nothing
    would be left to tell blocks from noise.
    """
    if not samples or any(len(of) != len(names) for of, names in zip(samples, blocks, strict=True)):
        return None
    values = np.concatenate([np.asarray(sample, np.float64) for sample in samples])
    places = {name: place for place, name in enumerate(dict.fromkeys(name for names in blocks for name in names))}
    block = np.array([places[name] for names in blocks for name in names], dtype=np.int64)
    sizes = np.array([len(sample) for sample in samples])
    cell = np.repeat(np.arange(len(samples)), sizes)
    counts = np.zeros((len(samples), len(places)))
    np.add.at(counts, (cell, block), 1)
    # The means of cells are eliminated first, so that the equations have one unknown a block.
    means = np.bincount(cell, values) / sizes
    sums = np.bincount(block, values - means[cell])
    shares = counts / sizes[:, None]
    equations = np.diag(counts.sum(axis=0)) - counts.T @ shares
    taken = int(np.linalg.matrix_rank(equations))
    within = values.size - len(samples)
    left = within - taken
    if taken < 1 or left < 1:
        return None
    inverse = np.linalg.pinv(equations, hermitian=True)
    rest: Floats = values - (inverse @ sums)[block]
    of_lacking = sizes * np.einsum("ij,jk,ik->i", shares, inverse, shares)
    ends = np.cumsum(sizes)
    unblocked = tuple(_steady(rest[end - size : end]) for size, end in zip(sizes, ends, strict=True))
    return Unblocked(unblocked, (1 + np.maximum(of_lacking, 0.0)) * within / left, taken, left)


def _steady(sample: Floats) -> Floats:
    """The sample, with differences that only rounding makes taken away."""
    centre = sample.mean()
    return np.full_like(sample, centre) if np.abs(sample - centre).max() <= ROUNDING * max(abs(centre), 1.0) else sample
