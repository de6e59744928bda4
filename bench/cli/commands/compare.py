"""`bench compare`: two sets of recorded runs, or of pytest-benchmark's files, judged as the gate judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.gate.compare import Limits, compare
from bench.gate.report import Report, Side, Unsure
from bench.gate.source import read
from bench.report.terminal.gate import Format, write_report


@dataclass(frozen=True)
class CompareOptions:
    """The command line of `bench compare`."""

    base: str
    head: str
    limits: Limits = field(default_factory=Limits)
    unsure: Unsure = "say"
    any_machine: bool = False
    results: Path = Path("results")
    format: Format = "terminal"
    out: Path | None = None
    junit: Path | None = None


def compare_results(options: CompareOptions, console: Console) -> int:
    """Judge head by base and tell; returns the exit code of the report.

    Raises UsageError for a side that means nothing, StoreError for files that cannot be read.
    """
    base, head = read(options.base, options.results), read(options.head, options.results)
    findings, notes = compare(base, head, options.limits, options.any_machine)
    report = Report(
        Side(options.base, base[-1].code),
        Side(options.head, head[-1].code),
        findings,
        notes,
        head[-1].machine,
        options.unsure,
    )
    write_report(report, options.format, options.out, options.junit, console)
    return report.exit_code
