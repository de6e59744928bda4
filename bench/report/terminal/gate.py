"""A gate's report for people: on the terminal while it measures and at the end, and for a pull request."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from bench.errors import MissingError, UsageError
from bench.gate import study
from bench.gate.paired_cell import PairedCell
from bench.gate.report import Outcome, Report
from bench.gate.verdict import Judgement, Verdict
from bench.report.terminal.gate_files import to_json, to_junit
from bench.report.terminal.gate_rows import COLUMNS, measured, reasons, row
from bench.text import units
from bench.text.console import LastingConsole, say, visible
from bench.text.fitting import LOG_WIDTH, print_table

Format = Literal["terminal", "markdown", "json", "junit"]

NUMBERS = ("base", "head", "change", "n")
# Without these a table is left that says all that matters.
OPTIONAL = ("n", "base", "head")
STYLES = {
    Verdict.WORSE: "bold red",
    Verdict.BROKEN: "bold red",
    Verdict.BETTER: "green",
    Verdict.SAME: "green",
    Verdict.UNSURE: "yellow",
    Verdict.NO_BASELINE: "magenta",
}
# Told in words too, for those who do not see colours.
MARKS = {
    Verdict.WORSE: "❌",
    Verdict.BROKEN: "❌",
    Verdict.BETTER: "🚀",
    Verdict.SAME: "✅",
    Verdict.UNSURE: "❔",
    Verdict.NO_BASELINE: "⚪",
}

OUTCOME_STYLES: dict[Outcome, str] = {
    "regression": "bold red",
    "not_decided": "bold yellow",
    "none": "bold green",
    "nothing": "bold magenta",
}
OUTCOMES: dict[Outcome, str] = {"regression": "❌", "not_decided": "❔", "none": "✅", "nothing": "⚪"}


def write_report(report: Report, format: Format, out: Path | None, junit: Path | None, console: Console) -> None:
    """Print the report, or write it to `out`; and write JUnit XML to `junit` too, where that is asked for.

    Raises MissingError for a file that cannot be written.
    """
    if junit is not None:
        _write(junit, to_junit(report))
    if format == "terminal" and out is None:
        print_report(report, console)
        return
    if format == "terminal":
        file = io.StringIO()
        print_report(report, LastingConsole(file=file, width=LOG_WIDTH))
        content = file.getvalue()
    else:
        content = {"markdown": to_markdown, "json": to_json, "junit": to_junit}[format](report)
    if out is not None:
        _write(out, content)
    else:
        sys.stdout.flush()
        # A program that reads it expects UTF-8, whatever the terminal's locale.
        sys.stdout.buffer.write(visible(content).encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()


def refuse_unwritable(*paths: Path | None) -> None:
    """Raises UsageError for a place where no report can be written. What is there stays as it is."""
    for path in filter(None, paths):
        try:
            if path.exists():
                _refuse_access(path)
            else:
                place = Path(os.path.realpath(path))  # of a link to nothing, what would be made
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
                place.unlink()
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; name another place") from None


def _refuse_access(path: Path) -> None:
    """Ask only, because opening a pipe would wait for its reader, and closing it would end it. Raises OSError."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def print_report(report: Report, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=column != "cell")
    above = None
    for finding in report.findings:
        cell, figure, verdict, *numbers = row(finding)
        shown = Text(verdict, style=STYLES[finding.verdict])
        table.add_row("" if cell == above else cell, figure, shown, *numbers)
        above = cell
    print_table(console, table, OPTIONAL)
    for line in (*reasons(report), *(f"Note: {note}" for note in report.notes)):
        say(console, line)
    say(console, measured(report))
    console.print(Text(report.headline, style=OUTCOME_STYLES[report.outcome]), soft_wrap=True)


def to_markdown(report: Report) -> str:
    """A comment for a pull request: the outcome, the table, and what more there is to say folded away."""
    lines = [f"### {OUTCOMES[report.outcome]} Speed gate: {_escaped(report.headline)}", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---|---|---|--:|--:|--:|---|--:|"]
    for finding in report.findings:
        figures = list(map(_escaped, row(finding)))
        figures[2] = f"{MARKS[finding.verdict]} {figures[2]}"
        lines.append(f"| {' | '.join(figures)} |")
    told = [*reasons(report), *report.notes]
    if told:
        lines += ["", "<details><summary>Notes</summary>", "", *(f"- {_escaped(line)}" for line in told)]
        lines += ["", "</details>"]
    lines += ["", f"<sub>{_escaped(measured(report))} {_method(report)}</sub>"]
    return "\n".join(lines) + "\n"


def study_table(outcomes: Sequence[study.Outcome], pair_s: float | None = None) -> Table:
    """A row a rule, and what share of comparisons it called slower, by the slow-down that was planted.

    With the seconds that a pair of runs takes, every rule's time is told too.
    """
    planted = list(dict.fromkeys(one.slow_down for one in outcomes))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rule")
    table.add_column("false alarms", justify="right")
    for slow_down in planted:
        if slow_down:
            table.add_column(f"finds {slow_down:.0%}", justify="right")
    for rule in dict.fromkeys(one.rule for one in outcomes):
        of_rule = {one.slow_down: one for one in outcomes if one.rule == rule}
        cells = []
        for slow_down in planted:
            one = of_rule[slow_down]
            rounds = f", {one.rounds:.0f} rounds" if one.same is not None or pair_s else ""
            rounds += f", {units.duration(one.rounds * pair_s)}" if pair_s else ""
            if slow_down:
                cells.append(f"{one.slower / one.n:.0%}{rounds}")
            else:
                cells.append(f"{one.slower + one.faster} of {one.n}{rounds}")
        table.add_row(rule, *cells)
    return table


class GateProgress:
    """What a gate tells while it measures: the present run where somebody looks, and each cell once it is decided."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console, self._status = console, status

    def running(self, paired_cell: PairedCell, arm: str, position: int) -> None:
        self.measuring(f"{paired_cell.label} ({arm})", position)

    def measuring(self, label: str, position: int) -> None:
        if self._status is not None:
            self._status.update(Text(f"round {position + 1}: {label}"))

    def decided(self, paired_cell: PairedCell, judgements: Sequence[Judgement]) -> None:
        words = ", ".join(f"{one.quantity.name} {one.word}" for one in judgements)
        why = f"; {paired_cell.given_up}" if paired_cell.given_up else ""
        say(self._console, f"{paired_cell.label}: {words or 'unsure'}, after {len(paired_cell.pairs)} rounds{why}")


@contextmanager
def progress(console: Console) -> Iterator[GateProgress]:
    """On a terminal one line that changes; elsewhere only what is final."""
    if not console.is_terminal:
        yield GateProgress(LastingConsole(stderr=True, width=10_000), None)
        return
    with console.status("starting") as status:
        yield GateProgress(console, status)


def _method(report: Report) -> str:
    confidence = next(
        (one.judgement.change.confidence for one in report.findings if one.judgement and one.judgement.change), 0.9
    )
    return f"Change is head over base, with its {100 * confidence:.0f} % interval; n is pairs of runs."


def _escaped(cell: str) -> str:
    """As Markdown shows it: no table, emphasis, link, tag or call for a user comes of what a message holds."""
    plain = " ".join(cell.split()).replace("&", "&amp;").replace("<", "&lt;")
    plain = re.sub(r"@(?=\w)", "@\N{ZERO WIDTH SPACE}", plain)  # a line of a traceback may be @torch.no_grad()
    return re.sub(r"[\\`*~|\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", plain)


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise MissingError(f"cannot write {path}: {error.strerror}; name another place") from None
