"""List the baselines, of this machine and of others."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cli.baselines import code_of, floors_of
from bench.cli.options import Results
from bench.errors import MissingError
from bench.gate import baseline as baselines
from bench.host.fingerprint import fingerprint

EPILOG = "Exit codes: 0 fine; 2 wrong usage; 3 there are none, or one cannot be read."


def list_(console: Console, results: Results = Path("results")) -> None:
    """Raises MissingError where there is none."""
    folder = results / "baselines"
    kept = baselines.read_all(folder) if folder.is_dir() else []
    if not kept:
        raise MissingError(f"there are no baselines in {folder}; `bench baseline save` makes some")
    here = fingerprint()["id"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "machine", "saved", "code", "runs", "noise floor"):
        table.add_column(name)
    for one in kept:
        machine = f"{one.machine.get('cpu_model')}, {one.machine.get('usable_cores')} cores"
        table.add_row(
            one.name,
            f"{machine}{' (this one)' if one.machine['id'] == here else ''}",
            one.saved_at[:16].replace("T", " "),
            code_of(one),
            str(len(one.results)),
            floors_of(one),
        )
    console.print(table)
