"""List the recipes that come with the project."""

from __future__ import annotations

from rich.table import Table

from bench.documents import yaml_reader
from bench.spec import recipes as shipped
from bench.text.console import LastingConsole


def recipes() -> None:
    table = Table("recipe", "what it does", title="bench run RECIPE, bench show RECIPE", title_justify="left")
    for name in shipped.names():
        table.add_row(name, yaml_reader.read(shipped.find(name))[0].get("summary", ""))
    LastingConsole().print(table)
