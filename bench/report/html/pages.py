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
from bench.report.html.cells import CellPage, cells_of
from bench.report.html.claims import claim_answers, claim_views
from bench.report.html.figure import COLOURS
from bench.report.html.plots import draw
from bench.report.html.views import (
    MOST_ROWS,
    RuleView,
    board_view,
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
from bench.scores.rules.base import task
from bench.scores.rules.timing import number
from bench.text import units
from bench.text.values import show_metric

FOLDER = Path(__file__).parent
# The largest number of runs shown for a cell; the others are in the store.
RUNS_SHOWN = 200
PARTS = ("config", "machine", "code", "data", "versions")


@collector_paused()
def site(runs: Sequence[Run], records: Sequence[PublishedResult]) -> dict[str, str | bytes]:
    """Every file of the report: its path in the folder and its content."""
    files: dict[str, str | bytes] = {}
    own = [run for run in runs if not is_imported(run)]
    imported = [run for run in runs if is_imported(run)]
    cells = cells_of(own)
    made = boards(runs, records)
    pages = {cell.kind: cell.page for cell in cells}
    listed = cells[:MOST_ROWS]
    views = [board_view(board, pages) for board in made]
    counted = [run for run in own if run.status != INVALID]
    chapters = draw(cells if len(counted) == len(own) else cells_of(counted), imported, records, made)
    common = {"generated": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "ties": TIES}
    counts = {
        "runs": len(own),
        "cells": len(cells),
        "machines": len({cell.first.machine.get("id") for cell in cells}),
        "records": len(records),
        "imported": len(imported),
    }
    files["style.css"] = style()
    files["table.js"] = _read("table.js")
    for _, plots in chapters:
        for plot in plots:
            files[f"plots/{plot.name}.svg"] = plot.svg
            files[f"plots/{plot.name}.png"] = plot.png
    tasks = overviews(views)
    files["index.html"] = _render("index.html", root="", chapters=chapters, tasks=tasks, counts=counts, **common)
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
    for plot in (view.plot for view in claims if view.plot is not None):
        files[f"plots/{plot.name}.svg"] = plot.svg
        files[f"plots/{plot.name}.png"] = plot.png
    for view in views:
        files[f"boards/{view.name}.html"] = _render("board.html", root="../", view=view, **common)
        files[f"boards/{view.name}.csv"] = to_csv([view.board])
    linked = {cell.page for cell in listed} | {
        row.page for view in views for part in view.sections for row in part.rows
    }
    linked |= {page for view in claims for _, page in view.pages}
    judged = verdicts(made)
    for cell in cells:
        if cell.page not in linked:
            continue
        files[f"cells/{cell.page}.html"] = _cell_page(cell, judged.get(cell.kind, []), common)
    return files


def single_page(made: Sequence[Board]) -> str:
    """The boards as one self-contained page, which begins with a line for each."""
    views = [board_view(board, {}) for board in made]
    return _render(
        "single.html",
        root=None,
        views=views,
        tasks=overviews(views),
        ties=TIES,
        generated=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        style=style(),
        script=_read("table.js"),
    )


def single_claims_page(answers: Sequence[Answer]) -> str:
    """The claims as one page that holds its style and its plots; cells are named by their ids."""
    runs = [run for answer in answers for run in answer.runs]
    views = claim_views(answers, cells_of({run.run_id: run for run in runs}.values()))
    generated = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return _render(
        "claims.html",
        root=None,
        views=views,
        summary=summary(answers),
        method=METHOD,
        generated=generated,
        style=style(),
    )


def style() -> str:
    """The style sheet, with the colours of the plots."""
    light, dark = (" ".join(f"--{name}: {pair[mode]};" for name, pair in COLOURS.items()) for mode in (0, 1))
    modes = f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return modes + _read("style.css")


def _cell_page(cell: CellPage, views: Sequence[RuleView], common: dict[str, Any]) -> str:
    newest = max(cell.runs, key=lambda run: run.run_id)
    shown = sorted(cell.runs, key=lambda run: run.run_id)[-RUNS_SHOWN:]
    parts = [(name, config_pairs(getattr(newest, name))) for name in PARTS]
    return _render(
        "cell.html",
        root="../",
        cell=cell,
        task=task(cell.first),
        facts=run_facts(newest),
        commands=commands(cell.runs),
        views=views,
        spans=spans_by_rule(views),
        runs=[_run_row(run) for run in shown],
        left_out=len(cell.runs) - len(shown),
        metrics=[(name, show_metric(name, value)) for name, value in newest.metrics.items() if value is not None],
        parts=parts,
        newest=newest,
        **common,
    )


def _run_row(run: Run) -> dict[str, Any]:
    """The columns of numbers, each as text and as a sort key."""
    shown = (
        ("accuracy", "accuracy", units.percent),
        ("training", "train_s", units.duration),
        ("in all", "total_s", units.duration),
    )
    values = [(label, number(run, name), show) for label, name, show in shown]
    return {
        "run": run,
        "numbers": [(label, show(value), "" if value is None else value) for label, value, show in values],
    }


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> Environment:
    # Everything is escaped: names, reasons and logs are data.
    return Environment(
        loader=PackageLoader("bench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
