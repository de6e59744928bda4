"""Test statements of three lectures: run missing measurements, cheapest first, and give each a verdict.

Verdicts come from recorded runs alone: confirmed, refuted, unsure (with the runs that would decide), or not testable
here (with what is missing).
"""

from __future__ import annotations

from rich.console import Console

from bench.claims import catalog
from bench.cli.claim_options import ClaimsOptions
from bench.report.terminal.claim_list import print_list

EPILOG = (
    "Exit codes: 0 each claim has a verdict or cannot be tested here; 1 runs failed, or may not be compared; 2 wrong "
    "usage, claim or matrix; 3 none of them can be tested here; 130 stopped by Ctrl-C, once after the present run, "
    "twice at once; the same command goes on."
)


def claims(options: ClaimsOptions, console: Console) -> int:
    """Raises `UsageError` for a mistake in a claim or in the options."""
    if options.list_only:
        print_list(console, catalog.chosen(options.names or ()))
        return 0
    # It brings the statistics, which take longer than the list.
    from bench.cli.claim_session import measure_and_judge

    return measure_and_judge(options, console)
