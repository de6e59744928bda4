"""What is said of a sweep on the command line, and what it means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli.executor_options import Address, ExecutorChoice, SlurmSettings, Where
from bench.cli.host_options import HostOptions
from bench.cli.options import DataDir, Device, DeviceChoice, Price, Results, SamplingTimeout, whole
from bench.cli.remarks import RemarkOptions
from bench.documents.document import parse_setting
from bench.documents.limits import MOST_COUNT, MOST_THREADS
from bench.errors import UsageError
from bench.spec.matrix import Cell, Matrix, same, short
from bench.spec.measures import with_timeout
from bench.statistics.sampling import Bounds
from bench.text.nearest import did_you_mean


class OrderChoice(StrEnum):
    interleaved = "interleaved"
    grouped = "grouped"
    random = "random"


@dataclass(frozen=True)
class SweepOptions:
    """Which cells are to be run, and how."""

    matrix: Annotated[
        str,
        typer.Argument(
            help="A shipped matrix (digits, precision, …) or a .yaml file.", autocompletion=completion.matrices
        ),
    ]
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=VALUE", help="Only cells with this value; repeatable."),
    ] = None
    rerun: Annotated[
        str | None, typer.Option(metavar="failed|all|CELL", help="Run these again although they are done.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Count only runs of the present sources as done.")] = False
    limit: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1, MOST_COUNT), help="Make at most this many runs now.")
    ] = None
    jobs: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Runs at once, on each host, each on GPUs of its own (auto: as many as are free; default: 1). On a "
            "CPU they share the cores. With Slurm, at once in all (default: all).",
        ),
    ] = None
    order: Annotated[OrderChoice | None, typer.Option(help="Instead of the matrix's own order.")] = None
    sampling_timeout_s: SamplingTimeout = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and run nothing.")] = False
    report: Annotated[
        bool, typer.Option("--report", help="Write the sweep's page at the end: table, curves, what each axis does.")
    ] = False
    data_dir: DataDir = None
    device: Device = DeviceChoice.auto
    results: Results = Path("results")
    price: Price = None
    remarks: RemarkOptions = field(default_factory=RemarkOptions)
    hosts: HostOptions = field(default_factory=HostOptions)
    executor: Where = ExecutorChoice.local
    address: Address = None
    slurm: SlurmSettings = None


def only(cells: list[Cell], conditions: Sequence[str], matrix: Matrix) -> list[Cell]:
    """The cells that have one of the values given for each key, as `key=value`.

    Raises `UsageError` for a key that is not varied, and for a value that no cell has.
    """
    wanted: dict[str, list[object]] = {}
    for condition in conditions:
        key, value = parse_setting("--only", condition)
        if key not in matrix.keys:
            raise UsageError(
                f"--only {condition}: {matrix.name} does not vary {key!r}{did_you_mean(key, matrix.keys)}; "
                f"it varies {', '.join(matrix.keys) or 'nothing'}"
            )
        values = [cell.values[key] for cell in cells if key in cell.values]
        if not any(same(value, one) for one in values):
            known = dict.fromkeys(map(short, values))
            raise UsageError(f"--only {condition}: {key} is never {short(value)}; it is {' or '.join(known)}")
        wanted.setdefault(key, []).append(value)
    kept = [
        cell
        for cell in cells
        if all(
            key in cell.values and any(same(cell.values[key], value) for value in values)
            for key, values in wanted.items()
        )
    ]
    if not kept:
        raise UsageError(f"no cell of {matrix.name} has all of {', '.join(conditions)}")
    return kept


def jobs_of(text: str) -> int | None:
    """How many runs at once; None for `auto`. Raises `UsageError` for anything else than that and a count."""
    if text == "auto":
        return None
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_THREADS:
        raise UsageError(
            f"--jobs {text[:40]}: give a count of 1 to {MOST_THREADS}, or auto for as many as there are free GPUs"
        )
    return int(text)


def sampling_of(matrix: Matrix, timeout_s: float | None) -> Bounds:
    """The matrix's bounds, with the command line's time-out. Raises `UsageError` where nothing is sampled."""
    bounds = matrix.spec.sampling.bounds()
    return bounds if timeout_s is None else with_timeout(bounds, timeout_s, matrix.spec.measure)
