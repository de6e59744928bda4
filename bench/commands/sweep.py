"""`bench sweep`: every cell of a matrix with every seed, each recorded as soon as it ends, none twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from bench import matrix as matrices
from bench.document import nearest, parse_setting
from bench.errors import UsageError
from bench.machine import default_device
from bench.matrix import Cell, Matrix, same, short
from bench.recording import Recorder
from bench.report import text
from bench.report.sweep import SweepProgress, plan_table, print_summary, print_table, view
from bench.sweep import ANSWERS, Plan, Sweep, check_rerun, plan

LOCK_POLL_S = 0.5


@dataclass(frozen=True)
class SweepOptions:
    """The command line of `bench sweep`."""

    matrix: str
    only: Sequence[str] = ()
    rerun: str | None = None
    resume: bool = False
    limit: int | None = None
    dry_run: bool = False
    data_dir: Path | None = None
    device: str = "auto"
    results: Path = Path("results")
    price_per_hour: float | None = None


def sweep(options: SweepOptions, console: Console) -> int:
    """Run what is not done yet and print the table; returns the exit code.

    0 where the last run of every cell is ok, or is left for later by the limit; 1 where one is not; 130 after
    Ctrl-C. Raises `UsageError` for a mistake in the matrix or the options, `MissingError` where results cannot be kept.
    """
    device = default_device() if options.device == "auto" else options.device
    matrix = matrices.load(options.matrix)
    spec = matrix.spec
    recorder = Recorder(options.results, Path(spec.recipe).stem, matrix.name)
    gpus = sum(gpu["count"] for gpu in recorder.machine["gpus"])
    cells = only(matrices.expand(matrix, device, gpus), options.only, matrix)
    pairs = matrices.schedule(cells, range(spec.seeds), spec.order, spec.order_seed)
    check_rerun(options.rerun, pairs)

    def make_plan() -> Plan:
        made = plan(
            pairs,
            recorder.store.read(),
            machine_id=recorder.machine["id"],
            sources_sha256=recorder.code["sources_sha256"],
            rerun=options.rerun,
            resume=options.resume,
            limit=options.limit,
        )
        _announce(console, matrix, made, device)
        return made

    if options.dry_run:
        print_table(console, plan_table(make_plan(), matrix.keys))
        return 0
    recorder.check_writable()
    with _alone(recorder.store.path.with_name("sweep.lock"), console):
        made = make_plan()
        try:
            finished = _carry_out(made, matrix, recorder, device, options, console)
        finally:
            # Whatever ends the last run, those before it are done.
            print_summary(console, made, matrix.keys, spec.measure)
            _say(console, f"Recorded in {recorder.store.path} as sweep {matrix.name}")
    if not finished:
        _say(console, "Stopped before its end; the same command runs the rest")
        return 130
    return _exit_code(console, made)


def _carry_out(
    made: Plan, matrix: Matrix, recorder: Recorder, device: str, options: SweepOptions, console: Console
) -> bool:
    spec = matrix.spec
    progress = SweepProgress(matrix.name, made, matrix.keys, spec.measure)
    with view(console, progress) as live:
        return Sweep(
            made,
            recorder,
            live,
            device,
            spec.measure,
            options.data_dir,
            spec.timeout_s,
            options.price_per_hour if options.price_per_hour is not None else spec.price_per_hour,
        ).run()


@contextmanager
def _alone(lock: Path, console: Console) -> Iterator[None]:
    """Wait for another sweep on the same results: two at once would do the same runs, and disturb each other's."""
    try:
        held = FileLock(lock).acquire(timeout=0)
    except Timeout:
        _say(console, f"Waiting for another sweep that records in {lock.parent}; another --results does not wait")
        held = FileLock(lock).acquire(poll_interval=LOCK_POLL_S)
    with held:
        yield


def only(cells: list[Cell], conditions: Sequence[str], matrix: Matrix) -> list[Cell]:
    """The cells that have one of the values given for each key, as `key=value`.

    Raises `UsageError` for a key that is not varied, and for a value that no cell has.
    """
    wanted: dict[str, list[object]] = {}
    for condition in conditions:
        key, value = parse_setting("--only", condition)
        if key not in matrix.keys:
            raise UsageError(
                f"--only {condition}: {matrix.name} does not vary {key!r}{nearest(key, matrix.keys)}; "
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


def _announce(console: Console, matrix: Matrix, made: Plan, device: str) -> None:
    spec, actions = matrix.spec, made.actions
    parts = [f"{actions['done']} done", f"{actions['run']} to run"]
    if actions["skip"]:
        parts.append(f"{actions['skip']} to be skipped")
    if actions["later"]:
        parts.append(f"{actions['later']} beyond the limit")
    _say(
        console,
        f"{matrix.name}: {spec.measure} of {spec.recipe} on {device}, {_count(len(made.cells), 'cell')} × "
        f"{_count(spec.seeds, 'seed')}, {spec.order}: {', '.join(parts)}",
    )
    for note in made.notes:
        _say(console, f"Note: {note}")
    if actions["run"]:
        new = sum(entry.action == "run" and entry.expected_s is None for entry in made.entries)
        expected = "unknown, none of these cells has run on this machine" if made.left_s is None else None
        guess = f", where {new} runs of new cells are taken for the mean of the others" if new else ""
        _say(console, f"Expected: {expected or text.duration(made.left_s) + guess}")


def _exit_code(console: Console, made: Plan) -> int:
    statuses = {entry.run.status for entry in made.entries if entry.run is not None}
    if statuses <= {"ok"}:
        return 0
    if statuses - {*ANSWERS}:
        _say(console, "When the cause is mended, --rerun failed runs again what failed or was skipped")
    return 1


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
