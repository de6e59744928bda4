"""Figures that follow the reader's mode, and colours that can be read."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from bench.report.html.figure import COLOURS, SERIES, Plot, axes, finish, style


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def plot(title: str = "a title", label: str = "a line", name: str = "name") -> Plot:
    with style():
        figure, (ax,) = axes()
        ax.plot([1, 2], [1, 2], color=SERIES[0], label=label)
        ax.set_title(title)
        ax.legend()
        return finish(figure, name, title, "what it says")


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", [name for name in COLOURS if name not in ("grid", "paper")])
def test_text_and_series_have_the_contrast_of_aa(name: str, mode: int) -> None:
    assert contrast(COLOURS[name][mode], COLOURS["paper"][mode]) >= 4.5


def test_no_two_colours_are_alike() -> None:
    for mode in (0, 1):
        assert all(a[mode] != b[mode] for a, b in itertools.combinations(COLOURS.values(), 2))


def test_the_svg_has_variables_for_both_modes_and_no_colour_of_its_own() -> None:
    svg = plot().svg
    ET.fromstring(svg)
    head, _, body = svg.partition("</style>")
    assert "prefers-color-scheme:dark" in head
    assert COLOURS["c0"][1] in head
    assert "var(--c0)" in body
    assert not any(light in body for light, _ in COLOURS.values())


def test_the_png_is_one() -> None:
    assert plot().png.startswith(b"\x89PNG")


def test_the_same_figure_makes_the_same_files() -> None:
    assert plot() == plot()


def test_its_files_have_plain_names() -> None:
    assert plot(name="curves-../a?#b\0").name == "curves--a-b-"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "$\\frac{$", "a\x1b[31mred", "&amp;", "日本語"])
def test_any_name_makes_an_svg_that_can_be_read(name: str) -> None:
    tree = ET.fromstring(plot(name, name).svg)
    assert not [element for element in tree.iter() if element.tag.endswith("script")]
