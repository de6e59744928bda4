"""Rank runs and published records together, by rule book; say who does not qualify, and why.

By default a line for each board: the best published result, the best run here, and the rank of that run or why it has
none. --task, --rule, --limit and --all print whole boards.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli import completion
from bench.cli.options import Out, Price, Results, RunFiles, whole
from bench.documents.limits import MOST_COUNT
from bench.errors import BenchError, MissingError, UsageError
from bench.host.gc_pause import collector_paused
from bench.registry.reference import anchored
from bench.report.terminal.board_summaries import WHOLE, print_summaries, summaries_to_csv, summaries_to_markdown
from bench.report.terminal.leaderboard import print_boards, say_folded, to_csv, to_markdown
from bench.runs.labels import is_imported
from bench.runs.lookup import PUBLISHED, STORE
from bench.runs.run import Run
from bench.runs.store import jsonl_files, read_all_runs
from bench.scores.leaderboard import Board, Metric
from bench.scores.leaderboard import boards as ranked
from bench.scores.published import PublishedResult, load_records
from bench.scores.rules import use
from bench.scores.rules.task import task as task_of
from bench.spec import prices
from bench.text.console import LastingConsole, say, write_out
from bench.text.nearest import unknown

# Of the terminal's form in a file, which no window is too narrow for.
FILE_WIDTH = 200


class BoardFormat(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    html = "html"


class MetricChoice(StrEnum):
    time = "time"
    cost = "cost"
    latency = "latency"
    energy = "energy"


def leaderboard(
    files: RunFiles = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="Only this rule book: dawnbench, mlperf, speedrun, coldstart, or yours.",
            autocompletion=completion.rules,
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this task, such as cifar10/train.")] = None,
    metric: Annotated[
        MetricChoice | None, typer.Option(help="What to rank by; default: time, and latency for inference.")
    ] = None,
    price: Price = None,
    in_full: Annotated[
        bool, typer.Option("--all", help="Every board in full; --task, --rule and --limit show boards in full too.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0, MOST_COUNT),
            help="Rows of a section, besides all of your own runs; default: 10 in the terminal, else all; 0 is all.",
        ),
    ] = None,
    format: Annotated[
        BoardFormat, typer.Option("--format", "-f", help="csv holds bare values; html has the boards in full too.")
    ] = BoardFormat.terminal,
    out: Out = None,
    results: Results = Path("results"),
) -> None:
    """Raises UsageError for a rule, task or price that there is not, StoreError for files that cannot be read."""
    console = LastingConsole()
    runs, records = read_all(files or (), results)
    made = boards(runs, records, rule, task, metric.value if metric else None, price)
    in_full = in_full or rule is not None or task is not None or limit is not None
    if out is not None:
        write(out, _as_text(made, format, in_full, limit))
        say(console, f"{out}: {len(made)} leaderboards")
    elif format != "terminal":
        write_out(_as_text(made, format, in_full, limit))
    else:
        _print(console, made, in_full, limit)
        if not (rule or task or metric) and (left := _on_no_board(runs, made)):
            say_folded(
                console,
                f"On no board: {left} of the cells here, because they have no target accuracy, never came to an end, "
                "used part of a data set, or measured what no rule scores; `bench results` lists every run.",
            )


def _print(console: Console, made: list[Board], in_full: bool, limit: int | None) -> None:
    if not in_full or len(made) > 1:
        print_summaries(console, made)
        say_folded(console, "" if in_full else WHOLE)
    if in_full:
        print_boards(console, made, limit)


def _as_text(made: list[Board], format: BoardFormat, in_full: bool, limit: int | None) -> str:
    match format:
        case BoardFormat.csv:
            return to_csv(made) if in_full else summaries_to_csv(made)
        case BoardFormat.markdown:
            begin = [summaries_to_markdown(made)] if not in_full or len(made) > 1 else []
            return "\n".join([*begin, to_markdown(made, limit)] if in_full else begin)
        case BoardFormat.html:
            from bench.report.html.pages import single_page

            return single_page(made)
        case BoardFormat.terminal:
            file = io.StringIO()
            _print(LastingConsole(file=file, width=FILE_WIDTH), made, in_full, limit)
            return file.getvalue()


@collector_paused()
def read_all(files: Sequence[Path], results: Path) -> tuple[list[Run], list[PublishedResult]]:
    """The runs of these files and folders, by default all below `results`, and the records."""
    folders = [folder for folder in (results / STORE, results / PUBLISHED) if folder.is_dir()]
    return read_all_runs(jsonl_files(files or folders)), load_records()


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


def boards(
    runs: list[Run],
    records: list[PublishedResult],
    rule: str | None,
    task: str | None,
    metric: Metric | None,
    price: str | None,
) -> list[Board]:
    """The boards that are asked for, None of a condition being all. Raises UsageError where there is none."""
    tasks = sorted({*map(task_of, runs), *(record.task for record in records)})
    try:
        rule = use(anchored(rule, Path())) if rule is not None else None
    except BenchError as error:
        raise type(error)(f"--rule {rule}: {error}") from None
    if task is not None and task not in tasks:
        raise UsageError(f"--task {task}: {unknown('task', task, tasks, 'bench leaderboard')}")
    made = ranked(runs, records, rule, task, metric, _on_demand(price))
    if not made:
        asked = ", ".join(str(value) for value in (rule, task, metric) if value)
        raise UsageError(f"there is no leaderboard of {asked or 'these runs'}: nothing was measured that it could rank")
    return made
