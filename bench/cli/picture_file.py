"""The file that a picture is written to: .png or .svg, and for charts also .html, a page that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import MissingError, UsageError
from bench.files import replacing
from bench.report.charts.chart import Chart, XYChart
from bench.report.html.drawing import draw_chart, draw_together
from bench.report.html.figure import Plot

PICTURES = (".png", ".svg")
PAGE = ".html"


def check_picture_file(file: Path, or_page: bool = False) -> None:
    """Raise `UsageError` where no picture can be called so, `MissingError` where its folder cannot be made."""
    endings = (*PICTURES, PAGE) if or_page else PICTURES
    if file.suffix not in endings:
        raise UsageError(f"{file}: a picture's name ends in {', '.join(endings[:-1])} or {endings[-1]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"{file}: its folder cannot be made: {error.strerror}") from error


def write_plot(plot: Plot, file: Path) -> None:
    """As SVG or PNG, by the ending of its name. Raises `MissingError` where `file` cannot be written."""
    _write(plot.svg.encode() if file.suffix == ".svg" else plot.png, file)


def write_chart(chart: Chart, file: Path) -> None:
    """A chart as a picture or a page. Raises `MissingError` where `file` cannot be written."""
    if file.suffix == PAGE:
        _write(_page(chart.title, [replace(chart, title="")]), file)
    else:
        write_plot(draw_chart(chart), file)


def write_charts(title: str, charts: Sequence[XYChart], columns: int, file: Path) -> None:
    """Charts beside and below each other. Raises `MissingError` where `file` cannot be written."""
    if file.suffix == PAGE:
        _write(_page(title, charts), file)
    else:
        write_plot(draw_together(charts, title, columns), file)


def _page(title: str, charts: Sequence[Chart]) -> bytes:
    from bench.report.html.pages import single_charts_page

    return single_charts_page(title, charts).encode()


def _write(content: bytes, file: Path) -> None:
    try:
        with replacing(file) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise MissingError(f"{file}: the picture cannot be written: {error.strerror}") from error
