"""Orthogonalisation of matrices by Newton-Schulz iteration, in two forms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Coefficients = tuple[float, float, float]
Form = Literal["gram"]

# A quintic that moves singular values near 1 in few steps; Jordan, https://kellerjordan.github.io/posts/muon/.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
KERNELS_A_STEP = 3
# The FLOPs a GPU does during the launch of a kernel: 3 µs at some 300 TFLOP/s.
LAUNCH_FLOPS = 10**9


def orthogonalize(
    matrices: Tensor, steps: int, coefficients: Coefficients = NEWTON_SCHULZ, form: Form | None = None
) -> Tensor:
    """The nearest semi-orthogonal matrices to [batch, rows, columns], roughly: singular values in about [0.7, 1.2].

    Newton-Schulz iteration in bfloat16, as in Muon (Jordan et al. 2024), in three kernels a step. The form `gram`
    computes two steps at once, which takes fewer operations if the longer side is more than 1.5 times the shorter one.
    """
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if form == "gram":
        for _ in range(steps // 2):
            x = two_steps_by_gram(x, coefficients)
        steps %= 2
    x = iterate(x, steps, coefficients)
    return x.mT if tall else x


def iterate(x: Tensor, steps: int, coefficients: Coefficients) -> Tensor:
    """`steps` times X ← (aI + bA + cA²) X with A = X Xᵀ, of matrices [batch, rows, columns]."""
    a, b, c = coefficients
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def two_steps_by_gram(x: Tensor, coefficients: Coefficients) -> Tensor:
    """Two steps of `iterate` with two products of the size of X instead of four; five are rows × rows.

    With Q = aI + bA + cA², a step is X ← Q X. Q commutes with A, so the second step's A is Q A Q, and X is multiplied
    once, by both Q. The part with I stays apart, because rounding the sum would lose small parts of the rest.

    A third step at once would save more but is not safe in bfloat16: rounding turns zero eigenvalues of A negative, and
    each further step multiplies those by a². Source: Zhang, Amsel, Chen and Dao,
    https://tridao.me/blog/2026/gram-newton-schulz/.
    """
    a, b, c = coefficients
    gram = x @ x.mT
    first = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # Q - aI
    half = torch.baddbmm(gram, first, gram, beta=a)  # Q A
    gram = torch.baddbmm(half, half, first, beta=a)
    second = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    both = torch.baddbmm(first, second, first, beta=a).add_(second, alpha=a)  # the product of both Q - a²I
    return torch.baddbmm(x, both, x, beta=a * a)


def orthogonalize_all(
    matrices: Sequence[Tensor],
    steps: int,
    pad: bool,
    coefficients: Coefficients = NEWTON_SCHULZ,
    form: Form | None = None,
) -> list[Tensor]:
    """`orthogonalize` of matrices of any shapes, each [rows, columns], in order; equal shapes are one batch.

    With `pad`, matrices with equal shorter sides share a batch too, filled up with columns of zeros, which change no
    product. That helps if multiplying zeros takes less time than launching the kernels of another batch: in the
    speedrun network, the four larger matrices form one batch with 22 % more FLOPs, 0.45 GFLOP for three kernels.
    """
    flat = [matrix.mT if matrix.size(0) > matrix.size(1) else matrix for matrix in matrices]
    found: dict[int, Tensor] = {}
    for indices in batches([(matrix.size(0), matrix.size(1)) for matrix in flat], pad):
        longest = max(flat[index].size(1) for index in indices)
        padded = [F.pad(m, (0, longest - m.size(1))) if m.size(1) < longest else m for m in (flat[i] for i in indices)]
        updates = orthogonalize(torch.stack(padded), steps, coefficients, form)
        for index, update in zip(indices, updates, strict=True):
            update = update[:, : flat[index].size(1)]
            found[index] = update.mT if matrices[index].size(0) > matrices[index].size(1) else update
    return [found[index] for index in range(len(matrices))]


def batches(shapes: Sequence[tuple[int, int]], pad: bool) -> list[list[int]]:
    """The positions of the matrices of these (rows, columns) that form each batch; `pad` as in `orthogonalize_all`."""
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        by_shape[shape].append(index)
    if not pad:
        return list(by_shape.values())
    made: list[tuple[int, int, list[int]]] = []
    for (rows, columns), indices in sorted(by_shape.items(), reverse=True):
        longest_rows, longest, batch = made[-1] if made else (0, 0, [])
        # Two of the three products of a step are rows × rows × columns.
        zeros_flops = len(indices) * 2 * 2 * rows**2 * (longest - columns)
        if rows == longest_rows and zeros_flops <= KERNELS_A_STEP * LAUNCH_FLOPS:
            batch.extend(indices)
        else:
            made.append((rows, columns, indices))
    return [indices for _, _, indices in made]
