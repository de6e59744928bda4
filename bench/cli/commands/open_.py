"""Open the report in the browser: its first page, or that of a sweep."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.commands.report import FOLDER, START
from bench.cli.options import Results
from bench.errors import MissingError
from bench.text.console import LastingConsole, say
from bench.text.nearest import unknown


def open_(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="The page of this sweep.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The report's folder; that of `bench report` unless another is named.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Raises MissingError where there is no such page yet."""
    folder = out or results / FOLDER
    page = folder / START if sweep is None else _page_of(sweep, folder, results)
    if not page.is_file():
        made_by = f"--results {results}" if out is None else f"--out {out}"
        raise MissingError(f"there is no report in {folder} yet: `bench report {made_by}` makes one")
    console = LastingConsole()
    say(console, str(page))
    if not webbrowser.open(page.resolve().as_uri()):
        say(console, "There is no browser here: open that file on another machine.")


def _page_of(sweep: str, folder: Path, results: Path) -> Path:
    """The newer of the page in the report and of the one that `bench sweep --report` wrote. Raises MissingError."""
    places = [place for place in (folder / "sweeps", results / "sweeps") if place.is_dir()]
    pages = sorted((page for place in places for page in place.glob("*.html")), key=lambda page: page.stat().st_mtime)
    found = {page.stem: page for page in pages}
    if sweep not in found:
        raise MissingError(f"{unknown('sweep', sweep, sorted(found), None)}; `bench report` makes the pages")
    return found[sweep]
