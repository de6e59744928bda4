"""Where labels fit: ticks beside each other, and names beside points, at the width of a phone and of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.charts.chart import PointLabel, XYChart

# Pixels of the drawn area on a phone, on a tablet and on the widest page, and its height on a page and on a phone.
PHONE_PX, TABLET_PX, PAGE_PX = 250, 560, 1120
HEIGHT_PX, PHONE_HEIGHT_PX = 320, 272
LETTER_PX, LINE_PX, GAP_PX = 7.2, 15.0, 6.0
# The part of its length by which a label at the right end is moved on a phone.
LAST_SHARE = 0.35
# The distance of a label from its point.
OFFSET_PX = 8.0
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placed:
    """A label and its place as shares of the area, from the left and from the bottom.

    One that is not `everywhere` fits from the width of a tablet on. `flipped` names stand left of their points.
    """

    text: str
    x: float
    y: float
    everywhere: bool
    flipped: bool = False
    colour: int | None = None


def placed_ticks(ticks: Sequence[tuple[float, str]], tablet_px: float = TABLET_PX) -> list[Placed]:
    """The labels of a horizontal axis, given by their places, without those that would touch the one before."""
    kept = _apart(ticks)
    everywhere = frozenset(kept)
    for number, tick in enumerate(ticks):
        gaps = (_gap_px(*_in_order(tick, ticks[other]), tablet_px) for other in kept)
        if number not in everywhere and all(gap >= GAP_PX for gap in gaps):
            kept.append(number)
    return [
        Placed(text, place, 0.0, number in everywhere) for number, (place, text) in enumerate(ticks) if number in kept
    ]


def placed_labels(chart: XYChart) -> list[Placed]:
    """The names of points that can stand without touching each other, at every width."""
    taken: list[tuple[Placed, PointLabel]] = []
    for everywhere in (True, False):
        for label in chart.labels:
            if any(other is label for _, other in taken):
                continue
            x, y = chart.x.scale.place(label.point[0]), chart.y.scale.place(label.point[1])
            for flipped in (False, True):
                new = Placed(label.text, x, y, everywhere, flipped, label.colour)
                if _stands(new, [one for one, _ in taken]):
                    taken.append((new, label))
                    break
    return [one for one, _ in taken]


def placed_references(labels: Sequence[Placed]) -> list[Placed]:
    """The labels of lines that can stand without touching one before, also on a phone."""
    kept: list[Placed] = []
    for label in labels:
        box = _box(label, PHONE_PX, PHONE_HEIGHT_PX)
        if not any(_touch(box, _box(other, PHONE_PX, PHONE_HEIGHT_PX)) for other in kept):
            kept.append(label)
    return kept


def _apart(ticks: Sequence[tuple[float, str]]) -> list[int]:
    """Those that fit on a phone, where a label at the right end stands further to the left."""
    kept: list[int] = []
    for number, (place, text) in enumerate(ticks):
        moved_px = LAST_SHARE * LETTER_PX * len(text) if is_last(place, text) else 0.0
        if not kept or _gap_px(ticks[kept[-1]], (place, text), PHONE_PX) - moved_px >= GAP_PX:
            kept.append(number)
    return kept


def is_last(place: float, text: str) -> bool:
    """Whether a label would reach beyond the right end of a phone's screen."""
    return place > 0.9 and len(text) > 4


def _in_order(one: tuple[float, str], other: tuple[float, str]) -> tuple[tuple[float, str], tuple[float, str]]:
    return (one, other) if one[0] <= other[0] else (other, one)


def _gap_px(left: tuple[float, str], right: tuple[float, str], width_px: float) -> float:
    return (right[0] - left[0]) * width_px - LETTER_PX * (len(left[1]) + len(right[1])) / 2


def _stands(new: Placed, others: Sequence[Placed]) -> bool:
    """Whether a name lies inside the area and touches no other, from its least width on."""
    for width_px in (PHONE_PX, TABLET_PX, PAGE_PX) if new.everywhere else (TABLET_PX, PAGE_PX):
        box = _box(new, width_px)
        if box[0] < 0 or box[2] > width_px or any(_touch(box, _box(other, width_px)) for other in others):
            return False
    return True


def _box(label: Placed, width_px: float, height_px: float = HEIGHT_PX) -> Box:
    length = LETTER_PX * len(label.text)
    left = label.x * width_px + (-OFFSET_PX - length if label.flipped else OFFSET_PX)
    bottom = label.y * height_px
    return left, bottom, left + length, bottom + LINE_PX


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
