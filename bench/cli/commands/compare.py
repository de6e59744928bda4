"""Say of each cell whether B is the same as A, faster, slower, or whether that cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.gate_options import GATE_EXIT_CODES, Margins, ReportOutput
from bench.cli.options import Pin, Results
from bench.gate import compare as comparison
from bench.gate.hosts import on_common_hosts, on_machine
from bench.gate.report import Report, Side
from bench.gate.source import read
from bench.report.terminal.gate import write_report
from bench.spec.host_choice import HostChoice

EPILOG = GATE_EXIT_CODES


def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="Runs: a .jsonl file or folder; a condition, as sweep=night; a revision; or a benchmark .json.",
        ),
    ],
    head: Annotated[str, typer.Argument(metavar="B", help="What is compared with A, in the same forms.")],
    console: Console,
    margins: Margins = Margins(),
    any_machine: Annotated[bool, typer.Option("--any-machine", help="Compare across machines too.")] = False,
    pin: Pin = None,
    same_machine: Annotated[
        bool, typer.Option("--same-machine", help="Only the runs of hosts that both sides have.")
    ] = False,
    output: ReportOutput = ReportOutput(),
    results: Results = Path("results"),
) -> int:
    """Raises UsageError for a side that means nothing, StoreError for files that cannot be read."""
    choice = HostChoice(pin)
    of_base, of_head = (on_machine(read(side, results), choice, side) for side in (base, head))
    if same_machine:
        of_base, of_head = on_common_hosts(of_base, of_head)
    findings, notes = comparison.compare(of_base, of_head, margins.limits, any_machine)
    report = Report(
        Side(base, of_base[-1].code),
        Side(head, of_head[-1].code),
        findings,
        notes,
        of_head[-1].machine,
        margins.unsure.value,
    )
    write_report(report, output.format.value, output.out, output.junit, console)
    return report.exit_code
