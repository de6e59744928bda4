"""The list of claims; importing this brings no statistics, which take longer than the list."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.claims.cells import Claim
from bench.text import units
from bench.text.console import say


def print_list(console: Console, claims: Sequence[Claim]) -> None:
    """A row for each claim: what it says, by which matrix it is tested, how long that takes, what it needs."""
    table = Table("claim", "statement", "tested by", "minutes", "needs")
    table.columns[3].justify = "right"
    for claim in claims:
        spec = claim.spec
        minutes = units.MISSING if spec.minutes is None else f"{spec.minutes:g}"
        table.add_row(claim.id, spec.statement, spec.matrix or units.MISSING, minutes, str(spec.needs or ""))
    console.print(table)
    testable = sum(claim.spec.needs is None for claim in claims)
    say(console, f"{len(claims)} claims, {testable} of them for any machine; `bench claims ID` tests one")
