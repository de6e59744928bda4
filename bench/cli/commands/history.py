"""Draw how the speed changed along the commits that `bench regress --note` compared, and name where it did.

Only ratios of commits that were measured beside each other are chained, so the machine may change on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.picture_file import check_picture_file, write_charts
from bench.errors import MissingError, UsageError
from bench.gate.history import REF, Chain, chains, read
from bench.gate.snapshot import repository_at
from bench.report.html.plots.commits import CHARTS, TITLE, commit_charts
from bench.report.terminal.commits import print_history, to_json
from bench.text.console import LastingConsole, say, write_out

EPILOG = "Exit codes: 0 fine; 2 wrong usage; 3 no commit has a note, or the picture cannot be written."


@dataclass(frozen=True)
class HistoryOptions:
    """Which ratios of which commits."""

    revision: Annotated[str, typer.Argument(help="Where the line of commits ends.")] = "HEAD"
    cell: Annotated[str | None, typer.Option(help="Only cells whose names hold this.")] = None
    figure: Annotated[str | None, typer.Option(help="Only this one, such as wall_s.")] = None
    plot: Annotated[Path | None, typer.Option(help="Draw it here: a .png or .svg file, or a .html page.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False


def history(options: HistoryOptions) -> None:
    """Raises UsageError for an unknown revision or figure, MissingError where nothing was noted."""
    console = LastingConsole(stderr=options.as_json)
    if options.plot is not None:
        check_picture_file(options.plot, or_page=True)
    commits = read(repository_at(Path.cwd()), options.revision)
    found, notes = chains(commits)
    if not found:
        raise MissingError(
            f"no commit up to {options.revision} has a note in {REF}; `bench regress --base HEAD~1 --note` writes one, "
            f"and `git fetch origin {REF}:{REF}` brings those of others"
        )
    kept = _chosen(found, options)
    if options.as_json:
        write_out(to_json(kept, commits, notes), is_json=True)
    else:
        print_history(kept, commits, console)
        for line in notes:
            say(console, f"Note: {line}")
    if options.plot is not None:
        write_charts(TITLE, commit_charts(kept, commits), CHARTS, options.plot)
        say(console, f"Drawn in {options.plot}")


def _chosen(found: list[Chain], options: HistoryOptions) -> list[Chain]:
    kept = [
        chain
        for chain in found
        if (options.cell is None or options.cell in chain.cell)
        and (options.figure is None or options.figure in (chain.quantity.metric, chain.quantity.name))
    ]
    if not kept:
        known = "; ".join(f"{chain.cell}: {chain.quantity.metric}" for chain in found)
        raise UsageError(f"no chain is chosen by --cell and --figure; there are: {known}")
    return kept
