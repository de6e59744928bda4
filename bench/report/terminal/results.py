"""Tables of recorded runs, and one run in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.runs.annotation import joined
from bench.runs.run import Run
from bench.text import units
from bench.text.values import show_metric

# The columns of the list; those that are empty in all its runs are left out.
LISTED = (
    "started_at",
    "run_id",
    "recipe",
    "sweep",
    "cell",
    "seed",
    "measure",
    "status",
    "contended",
    "accuracy",
    "train_s",
    "total_s",
    "samples_per_s",
    "scaling_efficiency",
    "latency_p50_ms",
    "images_per_s",
    "cost_dollars",
    "tags",
    "notes",
)
# The columns that a narrow terminal loses, first to last.
EXPENDABLE = (
    "notes",
    "cell",
    "sweep",
    "total_s",
    "measure",
    "cost_dollars",
    "scaling_efficiency",
    "samples_per_s",
    "images_per_s",
    "latency_p50_ms",
    "started_at",
    "train_s",
)
# The metrics that `--by` averages.
AVERAGED = (
    "accuracy",
    "cross_entropy",
    "train_s",
    "time_to_target_s",
    "total_s",
    "samples_per_s",
    "latency_p50_ms",
    "images_per_s",
)


def show_value(name: str, value: Any) -> str:
    """A value of the column or metric `name`, formatted for people."""
    if value is pd.NA or value is pd.NaT:
        return units.MISSING
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, pd.Timestamp) else show_metric(name, value)


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """The LISTED columns that are not empty; ids and cells are shortened."""
    usual = (runs["measure"] == "time_to_accuracy").all()
    silent = {name for name in LISTED if name not in runs or runs[name].isna().all() or (name == "measure" and usual)}
    if "contended" in runs and not runs["contended"].fillna(False).any():
        silent.add("contended")
    names = [name for name in LISTED if name not in silent]
    return runs[names].assign(
        run_id=runs["run_id"].str.replace(r"^\d{8}T\d{6}\.\d+Z-(?=[0-9a-f]{8}$)", "", regex=True),
        cell=runs["cell"].str[: units.ID_DIGITS],
    )


def fitted(shown: pd.DataFrame, console: Console) -> tuple[pd.DataFrame, list[str]]:
    """The columns that fit the console, and the EXPENDABLE ones that were left out."""
    hidden: list[str] = []
    unbounded = console.options.update(width=10_000)
    for name in (name for name in EXPENDABLE if name in shown):
        if console.measure(runs_table(shown), options=unbounded).maximum <= console.width:
            break
        shown = shown.drop(columns=name)
        hidden.append(name)
    return shown, hidden


def runs_table(frame: pd.DataFrame) -> Table:
    """A row a run, and a column for each column of the frame."""
    table = _table()
    for name in map(str, frame.columns):
        is_number = pd.api.types.is_numeric_dtype(frame[name].dtype)
        table.add_column("started (UTC)" if name == "started_at" else name, justify="right" if is_number else "left")
    columns = [[show_value(str(name), value) for value in frame[name].tolist()] for name in frame.columns]
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    return table


def groups_table(groups: pd.DataFrame) -> Table:
    """A row a group and metric; each number in the unit of its metric."""
    table = _table()
    statistics = ("mean", "median", "sd")
    by = [str(name) for name in groups.columns if name not in ("metric", "n", *statistics)]
    for name in [*by, "metric"]:
        table.add_column(name)
    for name in ("n", *statistics):
        table.add_column(name, justify="right")
    for row in groups.to_dict("records"):
        metric = str(row["metric"])
        cells = [show_value(name, row[name]) for name in by]
        numbers = [show_value(metric, float(row[name])) for name in statistics]
        table.add_row(*map(Text, [*cells, metric, str(row["n"]), *numbers]))
    return table


def run_in_full(run: Run, origin: str) -> list[tuple[str, Table | str]]:
    """Titled parts that show everything in a run; `origin` is the file that contains it."""
    identity = {
        "run_id": run.run_id,
        "recipe": run.recipe,
        "sweep": run.sweep,
        "cell": run.cell,
        "seed": run.seed,
        "measure": run.measure,
        "status": run.status,
        "reason": run.reason,
        "tags": joined(run.tags),
        "notes": joined(run.notes),
        "started_at": run.started_at,
        "price_per_hour": run.price_per_hour,
        "schema": run.schema,
        "recorded in": origin,
        "log": run.log,
        "repeat it by": run.repeated_by or None,
    }
    parts: list[tuple[str, Table | str]] = [("run", _pairs(identity)), ("metrics", _pairs(run.metrics))]
    parts.append(("spans, host seconds since the command", _rows([_without_layers(span) for span in run.spans])))
    parts.append(("epochs", _rows(run.epochs)))
    parts += [(name, _pairs(_flat(getattr(run, name)))) for name in ("config", "machine", "code", "data", "versions")]
    parts.append(("end of the log", "\n".join(run.log_tail)))
    return [(title, part) for title, part in parts if (part.row_count if isinstance(part, Table) else part)]


def _pairs(values: Mapping[str, Any]) -> Table:
    table = _table(show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold", no_wrap=False)
    for name, value in values.items():
        if value is not None:
            table.add_row(Text(name), Text(show_value(name, value)))
    return table


def _rows(records: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each record; a key without any value is left out."""
    table = _table()
    names = [
        name
        for name in dict.fromkeys(name for record in records for name in record)
        if any(record.get(name) is not None for record in records)
    ]
    for name in names:
        table.add_column(name, justify="left" if name == "name" else "right")
    for record in records:
        table.add_row(*(Text(_in_row(name, record.get(name))) for name in names))
    return table


def _without_layers(span: Mapping[str, Any]) -> dict[str, Any]:
    """The span with the usage of the cores as columns of its own."""
    host = span.get("host")
    host = host if isinstance(host, Mapping) else {}
    told = {name: host.get(name) for name in ("own_cpu_s", "others_cpu_s", "steal_s", "pressure_s")}
    return {name: value for name, value in span.items() if name != "host"} | told


def _in_row(name: str, value: Any) -> str:
    # Points in time are compared with each other, which `1 min 03 s` would make hard.
    return f"{value:.4f}" if name in ("start_s", "end_s") and isinstance(value, float) else show_value(name, value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _table(show_header: bool = True) -> Table:
    return Table(box=box.SIMPLE_HEAD if show_header else None, show_header=show_header, pad_edge=False)
