"""List the dated price table that --price NAME looks in."""

from __future__ import annotations

from rich.table import Table

from bench.spec.prices import table
from bench.text.console import LastingConsole


def prices() -> None:
    shown = Table(
        "name", "$/h", "date", "kind", "hardware", title="bench run RECIPE --price NAME", title_justify="left"
    )
    for name, row in table().items():
        shown.add_row(name, f"{row.usd_per_hour:g}", str(row.date), row.kind.replace("_", " "), row.hardware)
    LastingConsole().print(shown)
