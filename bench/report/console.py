"""What every command prints by. That the stream below cannot fail is `bench.report.streams`' affair."""

from __future__ import annotations

from rich.console import Console


class LastingConsole(Console):
    """The console of a command."""
