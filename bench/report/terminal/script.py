"""A script on one screen: its command, its target, what it reports and how its runs went."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.console import Console

from bench.host.git import SHORT_COMMIT
from bench.report.terminal.show import print_rows, runs_table
from bench.runs.run import FINISHED, Run
from bench.text import units


def print_script(console: Console, name: str, runs: Sequence[Run]) -> None:
    """Print what the runs of a script tell about it; the newest run is described."""
    newest = max(runs, key=lambda run: run.run_id)
    same = [run for run in runs if run.cell == newest.cell]
    console.print(f"{name}: a script, timed from its start to its exit", style="bold")
    print_rows(console, rows(newest, same))
    finished = [run for run in runs if run.status in FINISHED]
    if finished:
        console.print(
            runs_table([run for run in finished if run in same], [run for run in finished if run not in same])
        )


def rows(newest: Run, runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Label and value of what its runs have in common."""
    target, code = newest.config.get("target_accuracy"), newest.code
    statuses = ", ".join(f"{run.seed}: {run.status}" for run in runs[-5:])
    commit = str(code.get("commit") or "")[:SHORT_COMMIT] or f"no commit: {code.get('commit_unknown')}"
    told = [
        ("command", shlex.join(newest.config["command"])),
        ("environment", " ".join(f"{key}={value}" for key, value in newest.config.get("env", {}).items())),
        ("pattern", str(newest.config.get("epoch_pattern") or "")),
        ("target", units.percent(target) if target is not None else "none: its time is all that is asked for"),
        ("data", str(units.get(newest.config, "data", "name") or "")),
        ("tells", ", ".join(sorted(newest.reported)) or "nothing of what happens inside"),
        ("code", commit + (", with changes" if code.get("dirty") else "")),
        ("last seeds", statuses),
        ("again by", newest.repeated_by),
    ]
    return [(label, value) for label, value in told if value]
