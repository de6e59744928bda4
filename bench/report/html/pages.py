"""The pages of a report as files of a folder; they work without server, network and JavaScript."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.claims.evidence import Answer
from bench.host.gc_pause import collector_paused
from bench.report.charts.chart import Chart
from bench.report.charts.epochs import words
from bench.report.html import chart_view
from bench.report.html.cells import CellPage, cells_of
from bench.report.html.claims import claim_answers, claim_views
from bench.report.html.figure import COLOURS
from bench.report.html.pictures import Gallery, galleries
from bench.report.html.plots import draw
from bench.report.html.plots.quality import quality_chart
from bench.report.html.sweeps import SweepPage, sweep_pages
from bench.report.html.views import (
    MOST_ROWS,
    RuleView,
    board_views,
    cell_row,
    commands,
    config_pairs,
    overviews,
    run_facts,
    spans_by_rule,
    verdicts,
)
from bench.report.terminal.claims import summary
from bench.report.terminal.claims_page import METHOD
from bench.report.terminal.leaderboard import TIES, to_csv
from bench.runs.labels import is_imported
from bench.runs.run import INVALID, Run
from bench.scores.leaderboard import Board, boards
from bench.scores.published import PublishedResult
from bench.scores.rules.task import task
from bench.scores.rules.timing import number
from bench.text.values import show_metric

FOLDER = Path(__file__).parent
# The largest number of runs shown for a cell; the others are in the store.
RUNS_SHOWN = 200
# Cells whose last picture stands on the first page, the newest ones.
MOST_SAMPLES = 8
PARTS = ("config", "machine", "code", "data", "versions")


@collector_paused()
def site(
    runs: Sequence[Run], records: Sequence[PublishedResult], results: Path | None = None
) -> dict[str, str | bytes]:
    """Every file of the report: its path in the folder and its content. Sample pictures of runs are below `results`."""
    files: dict[str, str | bytes] = {}
    own = [run for run in runs if not is_imported(run)]
    imported = [run for run in runs if is_imported(run)]
    cells = cells_of(own)
    made = boards(runs, records)
    pages = {cell.kind: cell.page for cell in cells}
    listed = cells[:MOST_ROWS]
    views = board_views(made, pages)
    counted = [run for run in own if run.status != INVALID]
    chapters = draw(cells if len(counted) == len(own) else cells_of(counted), imported, records, made)
    sweeps = sweep_pages(cells)
    drawn = {cell.page: found for cell in listed if (found := galleries(cell, results))}
    samples = [(cell, drawn[cell.page][0].pictures[-1]) for cell in listed if cell.page in drawn][:MOST_SAMPLES]
    common = {"generated": _now(), "ties": TIES}
    counts = {
        "runs": len(own),
        "cells": len(cells),
        "machines": len({cell.first.machine.get("id") for cell in cells}),
        "records": len(records),
        "imported": len(imported),
    }
    files["style.css"] = style()
    files["table.js"] = _read("table.js")
    for plot in (plot for _, _, pictures in chapters for plot in pictures):
        files[f"plots/{plot.name}.svg"] = plot.svg
        files[f"plots/{plot.name}.png"] = plot.png
    tasks = overviews(views)
    files["index.html"] = _render(
        "index.html",
        root="",
        chapters=chapters,
        sweeps=sweeps,
        samples=samples,
        tasks=tasks,
        counts=counts,
        **common,
    )
    files["glossary.html"] = _render("glossary.html", root="", **common)
    files["cells.html"] = _render(
        "cells.html",
        root="",
        rows=map(cell_row, listed),
        left_out=len(cells) - len(listed),
        counts=counts,
        **common,
    )
    answers = claim_answers(own)
    claims = claim_views(answers, cells)
    files["claims.html"] = _render(
        "claims.html", root="", views=claims, summary=summary(answers), method=METHOD, **common
    )
    for sweep in sweeps:
        files[f"sweeps/{sweep.page}.html"] = _render("sweep.html", root="../", sweep=sweep, **common)
    for view in views:
        files[f"boards/{view.name}.html"] = _render("board.html", root="../", view=view, **common)
        files[f"boards/{view.name}.csv"] = to_csv([view.board])
    linked = {cell.page for cell in listed} | {
        row.page for view in views for part in view.sections for row in part.rows
    }
    linked |= {page for view in claims for _, page in view.pages} | {page for one in sweeps for page in one.links}
    judged = verdicts(views)
    of_sweep = {page: sweep for sweep in sweeps for page in sweep.links}
    for cell in cells:
        if cell.page not in linked:
            continue
        shown = drawn.get(cell.page, [])
        files |= {picture.path: picture.content for gallery in shown for picture in gallery.pictures}
        files[f"cells/{cell.page}.html"] = _cell_page(
            cell, judged.get(cell.kind, []), of_sweep.get(cell.page), shown, common
        )
    return files


def single_page(made: Sequence[Board]) -> str:
    """The boards as one self-contained page, which begins with a line for each."""
    views = board_views(made, {})
    return _render("single.html", root=None, views=views, tasks=overviews(views), ties=TIES, **_own_assets())


def single_claims_page(answers: Sequence[Answer]) -> str:
    """The claims as one page that holds its style; cells are named by their ids."""
    runs = [run for answer in answers for run in answer.runs]
    views = claim_views(answers, cells_of({run.run_id: run for run in runs}.values()))
    return _render("claims.html", root=None, views=views, summary=summary(answers), method=METHOD, **_own_assets())


def single_sweep_page(sweep: SweepPage) -> str:
    """A sweep as one self-contained page."""
    return _render("sweep.html", root=None, sweep=sweep, **_own_assets())


def single_charts_page(title: str, charts: Sequence[Chart]) -> str:
    """Charts as one self-contained page."""
    return _render("charts.html", root=None, title=title, charts=charts, **_own_assets())


def _own_assets() -> dict[str, str]:
    """What a page needs that stands alone."""
    return {"generated": _now(), "style": style(), "script": _read("table.js")}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def style() -> str:
    """The style sheet, with the colours of the plots."""
    light, dark = (" ".join(f"--{name}: {pair[mode]};" for name, pair in COLOURS.items()) for mode in (0, 1))
    modes = f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return modes + _read("style.css")


def _cell_page(
    cell: CellPage,
    views: Sequence[RuleView],
    sweep: SweepPage | None,
    shown_pictures: Sequence[Gallery],
    common: dict[str, Any],
) -> str:
    newest = max(cell.runs, key=lambda run: run.run_id)
    shown = sorted(cell.runs, key=lambda run: run.run_id)[-RUNS_SHOWN:]
    parts = [(name, config_pairs(getattr(newest, name))) for name in PARTS]
    return _render(
        "cell.html",
        root="../",
        cell=cell,
        sweep=sweep,
        galleries=shown_pictures,
        quality=quality_chart(f"quality-{cell.page}", "", [(cell.label, cell.runs)]),
        task=task(cell.first),
        facts=run_facts(newest),
        commands=commands(cell.runs),
        views=views,
        spans=spans_by_rule(views),
        runs=[_run_row(run, cell.quality) for run in shown],
        left_out=len(cell.runs) - len(shown),
        metrics=[(name, show_metric(name, value)) for name, value in newest.metrics.items() if value is not None],
        parts=parts,
        newest=newest,
        **common,
    )


def _run_row(run: Run, quality: str | None) -> dict[str, Any]:
    """The columns of numbers, each as text and as a sort key; `quality` is the metric that a task is judged by."""
    judged = quality or "accuracy"
    values = [
        (label, number(run, name), name)
        for label, name in ((words(judged), judged), ("training", "train_s"), ("in all", "total_s"))
    ]
    return {
        "run": run,
        "numbers": [(label, show_metric(name, value), "" if value is None else value) for label, value, name in values],
    }


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> Environment:
    # Everything is escaped: names, reasons and logs are data.
    made = Environment(
        loader=PackageLoader("bench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({name: getattr(chart_view, name) for name in chart_view.FILTERS})
    return made


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
