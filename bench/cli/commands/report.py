"""`bench report`: everything that was measured, as a folder of static pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.cli.commands.leaderboard import read_all, write
from bench.errors import MissingError, UsageError
from bench.report.html.pages import site
from bench.text.console import say

START = "index.html"
# What the foot of every page says.
SIGNATURE = "Made by <code>bench report</code>"


def write_report(files: Sequence[Path], results: Path, out: Path, console: Console) -> None:
    """Write the pages into `out`; those that are there are replaced.

    Raises UsageError for a folder of something else, MissingError where it cannot be written.
    """
    if out.exists() and not _is_ours(out):
        raise UsageError(f"--out {out}: there is something else already; name a new folder, or an older report's")
    _make(out)
    runs, records = read_all(files, results)
    made = site(runs, records)
    for name, content in made.items():
        write(out / name, content)
    line = f"{len(runs)} runs and {len(records)} records in {len(made)} files; open {out / START}"
    say(console, line)


def _is_ours(out: Path) -> bool:
    """Whether it is an older report, or an empty folder; another site has an index.html too."""
    try:
        if not (out / START).exists():
            return not any(out.iterdir())
        return SIGNATURE in (out / START).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _make(out: Path) -> None:
    """The folder, before the work that would be lost without it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(f"cannot write {out}: {error.strerror}; name another folder with --out") from None
