"""List the columns that runs have: metrics, spans, every config value, machine, code, data, versions."""

from __future__ import annotations

import pandas as pd

from bench.cli.run_filter import Filter
from bench.report.terminal.results import runs_table
from bench.text.console import unfolded_console


def columns(filter: Filter) -> None:
    """Those by which runs can be filtered, sorted and shown, with their types and how many runs have them."""
    runs = filter.apply(filter.load().runs)
    counts = runs.notna().sum()
    frame = pd.DataFrame(
        {"column": list(runs.columns), "type": [str(dtype) for dtype in runs.dtypes], "runs": counts.tolist()}
    )
    console = unfolded_console()
    console.print(runs_table(frame), soft_wrap=not console.is_terminal)
