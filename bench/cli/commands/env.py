"""Print the fingerprint of this machine: what its timings may be compared with."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.host import provenance
from bench.host.fingerprint import fingerprint
from bench.text.console import LastingConsole, write_out


def env(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    facts = {"machine": fingerprint(), "versions": provenance.versions(), "code": provenance.code_identity()}
    if as_json:
        write_out(json.dumps(facts, indent=2, sort_keys=True) + "\n", is_json=True)
        return
    table = Table(title=f"machine {facts['machine']['id']}", title_justify="left", show_header=False)
    for section, values in facts.items():
        for key, value in _flat(values):
            table.add_row(f"{section}.{key}", str(value))
        table.add_section()
    LastingConsole().print(table)


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows.append((f"{prefix}{key}", ", ".join(map(str, value)) or "none"))
        else:
            rows.append((f"{prefix}{key}", "–" if value is None else value))
    return rows
