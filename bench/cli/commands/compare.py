"""Compare runs B with runs A, cell by cell: faster, slower, the same, or not decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.equal_quality_options import EqualQualityOptions
from bench.cli.gate_options import GATE_EXIT_CODES, Margins, ReportFormat, ReportOutput
from bench.cli.options import Pin, Results
from bench.errors import UsageError
from bench.gate import compare as comparison
from bench.gate.equal_quality import EqualQuality, compare_at
from bench.gate.hosts import on_common_hosts, on_machine
from bench.gate.report import Report, Side
from bench.gate.source import read
from bench.report.terminal.equal_quality import print_equal_quality, to_json
from bench.report.terminal.gate import write_report
from bench.spec.host_choice import HostChoice
from bench.text.console import write_out

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
    equal_quality: EqualQualityOptions = EqualQualityOptions(),
    output: ReportOutput = ReportOutput(),
    results: Results = Path("results"),
) -> int:
    """Raises UsageError for a side that means nothing, StoreError for files that cannot be read."""
    terms = equal_quality.terms
    choice = HostChoice(pin)
    of_base, of_head = (on_machine(read(side, results), choice, side) for side in (base, head))
    if same_machine:
        of_base, of_head = on_common_hosts(of_base, of_head)
    if terms is not None:
        sides = of_base, of_head, (base, head)
        found = compare_at(terms, *sides, margins.margin, margins.unsure.value, any_machine)
        write_equal_quality(found, output, console)
        return found.exit_code
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


def write_equal_quality(found: EqualQuality, output: ReportOutput, console: Console) -> None:
    """Raises UsageError for a form that this comparison does not have."""
    if output.format not in (ReportFormat.terminal, ReportFormat.json) or output.out or output.junit:
        raise UsageError(
            f"{found.terms.metric.option}: it is printed, as a table or with --format json; leave out the other options"
        )
    if output.format == ReportFormat.json:
        write_out(to_json(found) + "\n", is_json=True)
    else:
        print_equal_quality(console, found)
