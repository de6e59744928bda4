"""Time deep-learning training to a target accuracy: honestly, and so that a stranger can repeat it."""

from __future__ import annotations

from typing import Annotated

import typer

# In the order of `bench --help`; bench/cli/lazy.py says what a command is.
COMMANDS = (
    "run",
    "time",
    "sweep",
    "recipes",
    "list",
    "show",
    "profile",
    "find-lr",
    "picture",
    "claims",
    "data",
    "env",
    "export",
    "results",
    "check",
    "import",
    "prices",
    "leaderboard",
    "report",
    "open",
    "plot",
    "diff",
    "compare",
    "regress",
    "history",
    "init",
    "baseline",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from bench.cli.version import print_version

        print_version()
        raise typer.Exit


def commands(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """What stands before the command."""
