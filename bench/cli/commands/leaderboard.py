"""`bench leaderboard`: our runs and published records, ranked by rule book."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from bench.documents.document import nearest
from bench.errors import MissingError, UsageError
from bench.host.gc_pause import collector_paused
from bench.report.terminal.leaderboard import print_boards, to_csv, to_markdown
from bench.runs.labels import is_imported
from bench.runs.run import Run
from bench.runs.store import jsonl_files, read_records
from bench.scores import leaderboard
from bench.scores.leaderboard import Board, Metric
from bench.scores.published import PublishedResult, load_records
from bench.scores.rules import RULES
from bench.scores.rules.base import task
from bench.spec import prices
from bench.text.console import LastingConsole, say, write_out

# Runs that are kept in the repository, beside those of this machine.
PUBLISHED = "published"
# Of the terminal's form in a file, which no window is too narrow for.
FILE_WIDTH = 200
Format = Literal["terminal", "markdown", "csv", "html"]


@dataclass(frozen=True)
class LeaderboardOptions:
    files: Sequence[Path] = ()
    results: Path = Path("results")
    rule: str | None = None
    task: str | None = None
    metric: Metric | None = None
    price: str | None = None
    limit: int | None = None
    format: Format = "terminal"
    out: Path | None = None


def show_leaderboard(options: LeaderboardOptions, console: Console) -> None:
    """Print the boards, or write them to `out`.

    Raises UsageError for a rule, task or price that there is not, StoreError for files that cannot be read.
    """
    runs, records = read_all(options.files, options.results)
    made = _boards(options, runs, records)
    if options.format == "terminal" and options.out is None:
        print_boards(console, made, options.limit)
        if not (options.rule or options.task or options.metric) and (left := _on_no_board(runs, made)):
            line = (
                f"On no board: {left} of the cells here, because they have no target, never came to an end, or "
                "measured what no rule scores; `bench results` lists every run."
            )
            console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)
        return
    if options.format == "terminal":
        file = io.StringIO()
        print_boards(LastingConsole(file=file, width=FILE_WIDTH), made, options.limit)
        content = file.getvalue()
    elif options.format == "html":
        from bench.report.html.pages import single_page

        content = single_page(made)
    else:
        content = to_csv(made) if options.format == "csv" else to_markdown(made, options.limit)
    if options.out is None:
        write_out(content)
        return
    write(options.out, content)
    say(console, f"{options.out}: {len(made)} leaderboards")


@collector_paused()
def read_all(files: Sequence[Path], results: Path) -> tuple[list[Run], list[PublishedResult]]:
    """The runs of these files and folders, by default all below `results`, and the records."""
    folders = [folder for folder in (results / "runs", results / PUBLISHED) if folder.is_dir()]
    return list(read_records(jsonl_files(files or folders), Run.from_json_line)), load_records()


def write(path: Path, content: str | bytes) -> None:
    """Raises MissingError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise MissingError(f"cannot write {path}: {error.strerror}; name another place with --out") from None


def _on_no_board(runs: Sequence[Run], made: Sequence[Board]) -> int:
    """How many of our cells are left out."""
    shown = {run.run_id for board in made for row in board.rows for run in row.runs}
    return len({run.cell for run in runs if run.run_id not in shown and not is_imported(run)})


def _on_demand(price: str | None) -> float | None:
    """Dollars per hour. Raises UsageError for a price that is on the table as one of the spot market."""
    if price is None:
        return None
    parsed = prices.parse(price)
    if parsed.source.get("kind") == "spot":
        raise UsageError(f"--price {price}: is a spot price, and costs are ranked on demand; `bench prices` lists both")
    return parsed.usd_per_hour


def _boards(options: LeaderboardOptions, runs: list[Run], records: list[PublishedResult]) -> list[Board]:
    tasks = sorted({*map(task, runs), *(record.task for record in records)})
    for name, value, known in (("rule", options.rule, RULES), ("task", options.task, tasks)):
        if value is not None and value not in known:
            raise UsageError(f"--{name} {value}: there is none{nearest(value, known)}; there are: {', '.join(known)}")
    made = leaderboard.boards(runs, records, options.rule, options.task, options.metric, _on_demand(options.price))
    if not made:
        asked = ", ".join(str(value) for value in (options.rule, options.task, options.metric) if value)
        raise UsageError(f"there is no leaderboard of {asked or 'these runs'}: nothing was measured that it could rank")
    return made
