"""Errors in bf16 of 3×3 convs in Winograd's form, by the points at which its polynomials are evaluated.

    .venv/bin/python -m tools.winograd_errors

Prints the table of docs/research/winograd_tiles.md, and the points ±a and ±b that should err least. Takes some seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from numpy.polynomial import polynomial
from torch import Tensor

BATCH, CHANNELS, FILTERS, PIXELS = 6, 256, 64, 8
POINTS = {
    "2×2: 0, ±1, ∞": (0, 1, -1),
    "4×4: 0, ±1, ±2, ∞ (Lavin and Gray)": (0, 1, -1, 2, -2),
    "0, ±1, ±1/2, ∞": (0, 1, -1, 1 / 2, -1 / 2),
    "0, ±1, 1/2, −2, ∞": (0, 1, -1, 1 / 2, -2),
    "0, ±√½, ±√2, ∞": (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)),
    "0, ±1/2, ±3/2, ∞": (0, 1 / 2, -1 / 2, 3 / 2, -3 / 2),
    "0, ±2/3, ±3/2, ∞": (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2),
}


def transforms(points: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Aᵀ, Bᵀ and G of Toom and Cook for filters of three, in fp64; `points` are the finite ones, ∞ is added.

    Source: Andrew Lavin and Scott Gray, Fast Algorithms for Convolutional Neural Networks (2015).
    """
    outputs = len(points) - 1
    size = outputs + 2
    of_outputs, of_tiles, of_filters = (
        torch.zeros(shape, dtype=torch.float64) for shape in ((outputs, size), (size, size), (size, 3))
    )
    of_outputs[-1, -1] = of_filters[-1, -1] = 1
    of_tiles[-1] = torch.tensor(polynomial.polyfromroots(points))
    for place, point in enumerate(points):
        others = [other for other in points if other != point]
        of_outputs[:, place] = torch.tensor([point**power for power in range(outputs)])
        of_tiles[place, :-1] = torch.tensor(polynomial.polyfromroots(others))
        at_point = polynomial.polyval(point, of_tiles[place].numpy())
        of_filters[place] = torch.tensor([point**power / at_point for power in range(3)])
    return of_outputs, of_tiles, of_filters


def spread(points: Sequence[float]) -> float:
    """S: by how much the transforms of one dimension enlarge the square of an error of white data."""
    of_outputs, of_tiles, of_filters = transforms(points)
    squares = of_outputs.square().sum(0) * of_tiles.square().sum(1) * of_filters.square().sum(1)
    return float(squares.sum() / (3 * len(of_outputs)))


def least_spread() -> tuple[float, float, float]:
    """The least S of points 0, ±a, ±b and ∞, with a and b in steps of a hundredth: S, a, b."""
    steps = [step / 100 for step in range(40, 200)]
    return min((spread((0, a, -a, b, -b)), a, b) for a, b in combinations(steps, 2))


def rounded(values: Tensor) -> Tensor:
    return values.bfloat16().to(values.dtype)


def both_sides(matrix: Tensor, tiles: Tensor) -> Tensor:
    return matrix @ tiles @ matrix.mT


def cut(images: Tensor, size: int, step: int) -> Tensor:
    """Tiles of `size` pixels: (batch, channels, rows, columns) to (tiles, channels, size, size)."""
    return images.unfold(2, size, step).unfold(3, size, step).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def by_place(tiles: Tensor) -> Tensor:
    """(tiles, channels, size, size) to a matrix of tiles × channels for each place of a tile, rounded to bf16."""
    return rounded(tiles.permute(2, 3, 0, 1).flatten(0, 1))


def by_tile(matrices: Tensor, size: int) -> Tensor:
    return matrices.unflatten(0, (size, size)).permute(2, 3, 0, 1)


def winograd(
    images: Tensor, filters: Tensor, gradient: Tensor, points: Sequence[float], fp32_products: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """The conv's output, and the gradients of its images and filters for `gradient`; rounded where bf16 is stored."""
    of_outputs, of_tiles, of_filters = (one.to(images.dtype) for one in transforms(points))
    step, size = of_outputs.shape
    keep = (lambda values: values) if fp32_products else rounded
    tiles = by_place(both_sides(of_tiles, cut(F.pad(images, (1, 1, 1, 1)), size, step)))
    kernels = by_place(both_sides(of_filters, filters))
    gradients = by_place(both_sides(of_outputs.mT, cut(gradient, step, step)))

    output = both_sides(of_outputs, by_tile(keep(tiles @ kernels.mT), size))
    of_padded = both_sides(of_tiles.mT, by_tile(keep(gradients @ kernels), size))
    columns = of_padded.flatten(1).unflatten(0, (len(images), -1)).mT
    padded = F.fold(columns, images.shape[-1] + 2, size, stride=step)
    of_kernels = both_sides(of_filters.mT, by_tile(keep(gradients.mT @ tiles), size))
    untiled = F.fold(output.flatten(1).unflatten(0, (len(images), -1)).mT, images.shape[-1], step, stride=step)
    return rounded(untiled), rounded(padded[..., 1:-1, 1:-1]), of_kernels


def usual(images: Tensor, filters: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `winograd` returns, by torch's conv in the dtype of the arguments."""
    images, filters = images.detach().requires_grad_(), filters.detach().requires_grad_()
    output = F.conv2d(images, filters, padding=1)
    return output.detach(), *torch.autograd.grad(output, [images, filters], gradient)


def white() -> tuple[Tensor, Tensor]:
    """Images and filters of independent normal numbers."""
    filters = torch.randn(FILTERS, CHANNELS, 3, 3) / (9 * CHANNELS) ** 0.5
    return torch.randn(BATCH, CHANNELS, PIXELS, PIXELS), filters


def smooth() -> tuple[Tensor, Tensor]:
    """Images of noise that is blurred twice and goes through SiLU; filters with a mean of their own."""
    images, filters = white()
    blur = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (blur[:, None] * blur).expand(CHANNELS, 1, 3, 3)
    for _ in range(2):
        images = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=CHANNELS)
        mean, deviation = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)
        images = (images - mean) / deviation
    return F.silu(images), filters + torch.randn(FILTERS, CHANNELS, 1, 1) / (9 * CHANNELS) ** 0.5


def errors(images: Tensor, filters: Tensor) -> dict[str, list[float]]:
    """By way to compute the conv: the relative errors of its output and both gradients against fp64."""
    gradient = rounded(torch.randn(BATCH, FILTERS, PIXELS, PIXELS))
    images = rounded(images)
    exact = usual(images.double(), filters.double(), gradient.double())
    last = list(POINTS)[-1]
    found = {"torch, bf16": usual(images.bfloat16(), filters.bfloat16(), gradient.bfloat16())}
    found |= {name: winograd(images, filters, gradient, points) for name, points in POINTS.items()}
    found["the same, products in fp32"] = winograd(images, filters, gradient, POINTS[last], fp32_products=True)
    return {
        name: [float((one - right).norm() / right.norm()) for one, right in zip(values, exact, strict=True)]
        for name, values in found.items()
    }


def main() -> None:
    torch.manual_seed(0)
    of_white, of_smooth = (errors(*kind()) for kind in (white, smooth))
    print("| | S | white: output | images | filters | smooth: output | images | filters |")
    print("|---|---|---|---|---|---|---|---|")
    for name in of_white:
        s = f"{spread(POINTS[name]):.2f}" if name in POINTS else ""
        shares = " | ".join(f"{100 * one:#.2g} %" for one in of_white[name] + of_smooth[name])
        print(f"| {name} | {s} | {shares} |")
    s, a, b = least_spread()
    print(f"\nLeast S of 0, ±a, ±b and ∞: {s:.2f}, at a = {a:g} and b = {b:g}")


if __name__ == "__main__":
    main()
