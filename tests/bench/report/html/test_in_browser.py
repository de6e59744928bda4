"""The report in headless Chromium: sorted, filtered, on a phone, in the dark, and without JavaScript."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageColor

from bench.report.html.figure import COLOURS
from tests.bench.report.html.browser import Page

BOARD = "boards/dawnbench-cifar10-train-94.html"
OWN_BOARD = "boards/coldstart-digits-train-96.html"
SWEEP = "sweeps/crossed.html"
PAGES = ["index.html", "cells.html", BOARD, OWN_BOARD, SWEEP]
WIDTHS = [360, 768, 1280]
# A chart with the first colour of the palette in full.
PLOT = "document.querySelector('#spans-digits-train .bars')"
# Labels and marks of charts that lie outside of the window, by their texts.
OUTSIDE = """
[...document.querySelectorAll(
  ".chart .tick, .chart .name, .chart .reference, .chart .dot-text, .chart .dot-label, .heat td")]
  .filter(one => one.getBoundingClientRect().width)
  .filter(one => one.getBoundingClientRect().right > innerWidth || one.getBoundingClientRect().left < 0)
  .map(one => one.textContent)
"""
# Tables of which a part is hidden until it is scrolled.
SCROLLED = """
[...document.querySelectorAll(".wide")].filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)
"""
# Pairs of labels of one chart that cover each other.
TOUCHING = """
[...document.querySelectorAll(".area, .dot-axis .track")].flatMap(area => {
  const boxes = [...area.querySelectorAll(".tick, .name, span.reference")]
    .map(one => [one.textContent, one.getBoundingClientRect()])
    .filter(([, box]) => box.width);
  return boxes.flatMap(([text, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(([other]) => `${text} | ${other}`));
})
"""
ROWS = "[...document.querySelectorAll('table[data-sortable] tbody tr:not(.section)')]"
SHOWN = f"{ROWS}.filter(row => row.offsetParent !== null)"


def column(page: Page, position: int) -> list[str]:
    """The texts of a column, top to bottom, of the ranked rows that are shown."""
    script = f"{SHOWN}.filter(row => row.parentElement === row.closest('table').tBodies[0])"
    return list(page.run(f"{script}.map(row => row.cells[{position}].innerText.trim().split('\\n')[0])"))


def click(page: Page, heading: str) -> None:
    page.run(f"[...document.querySelectorAll('th button')].find(b => b.textContent === {json.dumps(heading)}).click()")


def type_filter(page: Page, text: str) -> str:
    """Write into the first filter; what it says of the rows."""
    return str(
        page.run(
            "(() => { const input = document.querySelector('.filter input');"
            f" input.value = {json.dumps(text)}; input.dispatchEvent(new Event('input'));"
            " return document.querySelector('.filter output').value; })()"
        )
    )


def mean_brightness(path: Path) -> float:
    return Image.open(path).convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[return-value]


class TestSort:
    def test_a_heading_sorts_up_and_then_down_by_number(self, page: Page, report: Path) -> None:
        page.open(report / BOARD)
        assert column(page, 0) == [str(rank) for rank in range(1, 32)]
        click(page, "cost")
        costs = [float(text.removeprefix("$")) for text in column(page, 4) if text != "–"]
        assert costs == sorted(costs)
        assert len(costs) > 10
        assert column(page, 4)[-1] == "–", "what is empty stays last"
        click(page, "cost")
        assert [float(text.removeprefix("$")) for text in column(page, 4) if text != "–"] == sorted(costs, reverse=True)
        assert column(page, 4)[-1] == "–"
        assert page.run("document.querySelector('th[aria-sort]').textContent") == "cost"
        click(page, "rank")
        assert column(page, 0) == [str(rank) for rank in range(1, 32)]

    def test_sections_stay_apart(self, page: Page, report: Path) -> None:
        page.open(report / BOARD)
        before = page.run("[...document.querySelector('table').tBodies].map(body => body.rows.length)")
        click(page, "system")
        assert page.run("[...document.querySelector('table').tBodies].map(body => body.rows.length)") == before
        names = column(page, 1)
        assert names == sorted(names, key=str.lower)
        headings = page.run(
            "[...document.querySelectorAll('tr.section')].every(row => row === row.parentElement.rows[0])"
        )
        assert headings is True


class TestFilter:
    def test_keeps_the_rows_that_have_every_word(self, page: Page, report: Path) -> None:
        page.open(report / BOARD)
        total = page.run(f"{SHOWN}.length")
        said = type_filter(page, "v100 baidu")
        texts = page.run(f"{SHOWN}.map(row => row.textContent.toLowerCase())")
        assert 0 < len(texts) < total
        assert all("v100" in text and "baidu" in text for text in texts)
        assert said == f"{len(texts)} of {total} rows"
        assert type_filter(page, "") == f"{total} rows"
        assert page.run(f"{SHOWN}.length") == total

    def test_a_word_that_nothing_has_hides_the_sections_too(self, page: Page, report: Path) -> None:
        page.open(report / BOARD)
        assert type_filter(page, "no such thing").startswith("0 of ")
        assert page.run("[...document.querySelectorAll('tr.section')].filter(row => row.offsetParent).length") == 0


class TestProvenance:
    def test_opens_with_one_click_and_has_the_command_to_copy(self, page: Page, report: Path) -> None:
        page.open(report / OWN_BOARD)
        page.run("document.querySelector('tr.run summary').click()")
        opened = str(page.run("document.querySelector('tr.run details[open] .more').innerText"))
        assert "bench run digits --seeds 5" in opened
        assert "on this clock" in opened
        page.run("new Promise(done => setTimeout(done, 50))")
        assert page.run("document.querySelector('tr.run details[open] .copy').textContent") == "Copy"


class TestEveryPage:
    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize("name", [*PAGES, "claims.html", "glossary.html"])
    def test_nothing_is_cut_off_and_no_labels_touch(self, page: Page, report: Path, name: str, width: int) -> None:
        page.open(report / name, width=width, height=800)
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run(OUTSIDE) == []
        assert page.run(TOUCHING) == []
        assert page.run(SCROLLED) == []

    @pytest.mark.parametrize("name", PAGES)
    def test_fits_a_phone(self, page: Page, report: Path, name: str) -> None:
        page.open(report / name, width=360, height=740)
        page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.run("document.documentElement.scrollWidth") <= 360

    def test_every_cell_fits_a_phone(self, page: Page, report: Path) -> None:
        for path in sorted((report / "cells").iterdir()):
            page.open(path, width=360, height=740)
            page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert page.run("document.documentElement.scrollWidth") <= 360, path.name

    @pytest.mark.parametrize("name", PAGES)
    def test_asks_for_its_own_files_alone(self, page: Page, report: Path, name: str) -> None:
        page.open(report / name)
        home = report.resolve().as_uri()
        assert page.requests
        assert not [url for url in page.requests if not url.startswith((home, "data:"))]
        assert page.run("document.title") != "taken over"

    @pytest.mark.parametrize("name", PAGES)
    def test_is_there_without_javascript(self, page: Page, report: Path, name: str) -> None:
        page.open(report / name, scripts=False)
        assert page.run("document.querySelectorAll('table tbody tr').length") > 3
        assert page.run("document.querySelectorAll('.filter, th button').length") == 0

    def test_is_light_or_dark_as_the_reader_is_and_so_are_the_plots(
        self, page: Page, report: Path, tmp_path: Path
    ) -> None:
        for dark in (False, True):
            page.open(report / "index.html", dark=dark)
            page.run(f"{PLOT}.scrollIntoView()")
            time.sleep(0.2)
            box = page.run(f"JSON.stringify({PLOT}.getBoundingClientRect())")
            shot = tmp_path / f"{dark}.png"
            page.screenshot(shot, whole=False)
            place = json.loads(box)
            sides = (place["left"], max(0, place["top"]), place["right"], min(900, place["bottom"]))
            plot = Image.open(shot).convert("RGB").crop(tuple(map(int, sides)))  # type: ignore[arg-type]
            drawn = {colour: count for count, colour in plot.getcolors(1 << 20) or []}
            for name in ("c0", "paper"):
                there, gone = (drawn.get(ImageColor.getrgb(COLOURS[name][mode]), 0) for mode in (dark, not dark))
                assert there > 50, f"{name} is not drawn, dark: {dark}"
                assert gone < 0.1 * there
            assert (mean_brightness(shot) < 100) == dark

    def test_every_chart_is_drawn_without_scrolling(self, page: Page, report: Path) -> None:
        page.open(report / "index.html", height=400)
        drawn = page.run("[...document.querySelectorAll('.area svg')].map(one => one.querySelectorAll('path').length)")
        assert len(drawn) >= 4
        assert all(count > 5 for count in drawn)
        assert page.run("document.querySelectorAll('[loading=lazy]').length") == 0

    @pytest.mark.parametrize("width", WIDTHS)
    def test_charts_are_as_wide_as_the_page(self, page: Page, report: Path, width: int) -> None:
        page.open(report / SWEEP, width=width)
        main, area = page.run(
            "[document.querySelector('main'), document.querySelector('.area')].map(one => one.clientWidth)"
        )
        assert area > 0.9 * main - 110
        assert page.run("getComputedStyle(document.querySelector('.tick')).fontSize") == "13px"


def row_of(page: Page, title: str, label: str) -> dict[str, Any]:
    """The text of a row of a chart, and where its dot and interval stand, as shares of the track."""
    script = """
    (() => {
      const chart = [...document.querySelectorAll('.chart')].find(one => one.innerText.startsWith(%s));
      const row = [...chart.querySelectorAll('.dot-row')].find(one =>
        one.querySelector('.dot-label').innerText.startsWith(%s));
      const track = row.querySelector('.track').getBoundingClientRect();
      const share = (one, side) => (one.getBoundingClientRect()[side] - track.left) / track.width;
      const dot = row.querySelector('b:not(.mark)').getBoundingClientRect(), bar = row.querySelector('i');
      return JSON.stringify({text: row.innerText, at: ((dot.left + dot.right) / 2 - track.left) / track.width,
                             low: share(bar, 'left'), high: share(bar, 'right')});
    })()
    """
    return dict(json.loads(page.run(script % (json.dumps(title), json.dumps(label)))))


class TestSweep:
    @pytest.mark.parametrize("width", WIDTHS)
    def test_the_headline_figures_are_there_and_the_dots_stand_at_them(
        self, page: Page, report: Path, width: int
    ) -> None:
        page.open(report / SWEEP, width=width)
        slow, quick = (row_of(page, "training time by width", level) for level in ("16", "8"))
        assert "15.0 s" in quick["text"]
        assert re.search(r"20\.[23] s", slow["text"])
        assert "n = 11" in slow["text"]
        assert 0 < quick["low"] < quick["at"] < quick["high"] < slow["low"] < slow["at"] < slow["high"] < 1

    def test_labels_hold_what_varies_alone(self, page: Page, report: Path) -> None:
        page.open(report / SWEEP)
        labels = page.run(
            "[...document.querySelectorAll('#curves .legend li')].map(one => one.innerText.replaceAll('\u00a0', ' '))"
        )
        assert labels[0] == "width = 8, block = wide, precision = fp32 (n = 3)"
        assert len(labels) == 8

    def test_what_must_be_read_with_care_is_marked(self, page: Page, report: Path) -> None:
        page.open(report / SWEEP)
        marks = page.run("[...document.querySelectorAll('#cells .marks li')].map(one => one.innerText)")
        assert marks == [
            "1 contended: width = 8, block = wide, precision = fp32",
            "1 oom: width = 16, block = deep, precision = fp32",
        ]
        assert "1 run contended" in row_of(page, "training time by width", "8")["text"]

    def test_a_stronger_colour_is_a_larger_figure(self, page: Page, report: Path) -> None:
        page.open(report / SWEEP)
        colours = page.run(
            "[...[...document.querySelectorAll('.chart')].find(one => one.innerText.startsWith("
            "'training time by width and precision')).querySelectorAll('td')]"
            ".map(one => [parseFloat(one.innerText), getComputedStyle(one).backgroundColor])"
        )
        assert len({colour for _, colour in colours}) >= 3
        assert [value for value, _ in colours] == [15.0, 15.0, 27.1, 13.5]

    def test_links_lead_to_the_words(self, page: Page, report: Path) -> None:
        page.open(report / "index.html")
        link = str(page.run("document.querySelector('#sweeps caption a').getAttribute('href')"))
        name, _, anchor = link.partition("#")
        page.open(report / name)
        assert "All combinations of some settings" in page.run(f"document.getElementById('{anchor}').innerText")
