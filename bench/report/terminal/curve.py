"""A curve in the terminal: dots of Braille, two across and four down in a character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

WIDTH, HEIGHT = 68, 14
# The bit of each dot in a Braille character, by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


def draw_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    marked: float | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> list[str]:
    """Lines with the losses against the rates, which are logarithmic, and a column of `┊` at the rate `marked`.

    What lies above 1.1 times the first loss is left out, or the explosion would flatten all before it.
    """
    top = 1.1 * losses[0]
    points = [(math.log10(rate), loss) for rate, loss in zip(rates, losses, strict=True) if loss <= top]
    left, right = math.log10(rates[0]), math.log10(rates[-1])
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    across, down = 2 * width - 1, 4 * height - 1
    cells = [[0] * width for _ in range(height)]
    for log_rate, loss in _between(points):
        x = round(across * (log_rate - left) / ((right - left) or 1))
        y = round(down * (high - loss) / ((high - low) or 1))
        cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
    column = None
    if marked is not None and rates[0] <= marked <= rates[-1]:
        column = round((width - 1) * (math.log10(marked) - left) / ((right - left) or 1))
    lines = []
    for row, line in enumerate(cells):
        label = f"{high:7.3g}" if row == 0 else f"{low:7.3g}" if row == height - 1 else " " * 7
        drawn = [chr(_BLANK + bits) if bits else "┊" if at == column else " " for at, bits in enumerate(line)]
        lines.append(f"{label} │{''.join(drawn)}".rstrip())
    lines.append(" " * 8 + "└" + "─" * width)
    lines.append(_axis(left, right, width))
    return lines


def _between(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, and what lies on the lines between them."""
    filled = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        filled += [(x0 + (x1 - x0) * part / 8, y0 + (y1 - y0) * part / 8) for part in range(1, 9)]
    return filled


def _axis(left: float, right: float, width: int) -> str:
    """The powers of ten below the axis, every second one where they would touch."""
    powers = range(math.ceil(left - 1e-9), math.floor(right + 1e-9) + 1)
    labels = [" "] * (width + 16)
    step = 1 if len(powers) * 7 <= width else 2
    for power in powers[::step]:
        at = 9 + round((width - 1) * (power - left) / ((right - left) or 1))
        for offset, character in enumerate(f"1e{power}"):
            labels[at + offset] = character
    return "".join(labels).rstrip()
