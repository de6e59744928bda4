"""Names that tell cells apart: the recipe, and what differs between the cells of one recipe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from bench.runs.run import NOT_IDENTITY, Run
from bench.text import units
from bench.text.canonical import canonical_json

MOST_KEYS = 4
# Before the names that a matrix gives the parts of a command that it varies.
PARAMETER = "parameters."
# Keys left out of labels: they follow from the machine, are the same in the whole board, or make no difference.
_NOT_SHOWN = (*NOT_IDENTITY, "resolved", "imported", "target_accuracy")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as a flat mapping of dotted keys, without nulls."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The dotted keys whose values differ between these configs, each with the value in every config, None if absent.

    If keys vary together, as zipped axes do, only the first is returned.
    """
    shown = [flat({key: value for key, value in config.items() if key not in _NOT_SHOWN}) for config in configs]
    found: dict[str, list[Any]] = {}
    seen: set[tuple[int, ...]] = set()
    for key in dict.fromkeys(key for config in shown for key in config):
        values = [config.get(key) for config in shown]
        numbers: dict[Hashable, int] = {}
        pattern = tuple(numbers.setdefault(_hashable(value), len(numbers)) for value in values)
        if len(numbers) > 1 and pattern not in seen:
            seen.add(pattern)
            found[key] = values
    return found


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run, the first of its cell: `digits`, or `digits (model.block=wide, precision=bf16)`.

    Runs are compared within their sweep, or with the other runs of the recipe that belong to none. Different cells with
    equal names get the beginning of their ids. Where many keys differ, values that most cells have are left out.
    """
    alike: dict[tuple[str, str, str | None], list[int]] = defaultdict(list)
    for position, run in enumerate(runs):
        alike[run.recipe, run.measure, run.sweep].append(position)
    names = [run.recipe for run in runs]
    for positions in alike.values():
        keys = differing([runs[position].config for position in positions])
        usual = usual_values(keys) if len(keys) > MOST_KEYS else {}
        for place, position in enumerate(positions):
            told = {key: values[place] for key, values in keys.items()}
            told = {key: value for key, value in told.items() if not usual or show(value) != usual[key]}
            parts = [f"{key.removeprefix(PARAMETER)}={show(value)}" for key, value in list(told.items())[:MOST_KEYS]]
            if len(told) > MOST_KEYS:
                parts.append(f"… {runs[position].cell[: units.ID_DIGITS]}")
            if parts:
                names[position] = f"{runs[position].recipe} ({', '.join(parts)})"
    cells: dict[str, set[str]] = defaultdict(set)
    for name, run in zip(names, runs, strict=True):
        cells[name].add(run.cell)
    return [
        name if len(cells[name]) == 1 else f"{name} {run.cell[: units.ID_DIGITS]}"
        for name, run in zip(names, runs, strict=True)
    ]


def usual_values(keys: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The value, as text, that more than half of the cells have of each key; empty unless every key has one.

    Such cells change little at a time, and are best told by what they change.
    """
    counts = {key: Counter(map(show, values)).most_common(1)[0] for key, values in keys.items()}
    is_usual = all(2 * count > len(keys[key]) for key, (_, count) in counts.items())
    return {key: text for key, (text, _) in counts.items()} if is_usual else {}


def show(value: Any) -> str:
    """A config value, shortened."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={show(item)}" for key, item in value.items())
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def ordered(values: Iterable[Any]) -> list[Any]:
    """The distinct values, numbers sorted by size and everything else by name."""
    distinct = {_hashable(value): value for value in values}.values()

    def key(value: Any) -> tuple[bool, float, str]:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (not number, float(value) if number else 0.0, show(value))

    return sorted(distinct, key=key)


def _hashable(value: Any) -> Hashable:
    return canonical_json(value) if isinstance(value, list | dict) else (type(value) is bool, value)


def hardware(run: Run) -> str:
    """The machine in one line, such as `1 * NVIDIA H200 / 118 GiB / 16 CPU`, after its label if it has one."""
    label = run.machine.get("label")
    return f"{label}: {_hardware(run)}" if label else _hardware(run)


def _hardware(run: Run) -> str:
    machine = run.machine
    size = f"{(machine.get('memory_bytes') or 0) / 2**30:.0f} GiB / {machine.get('usable_cores')} CPU"
    if run.config.get("device") == "cuda" and machine.get("gpus"):
        first = machine["gpus"][0]
        name = first.get("name") if isinstance(first, Mapping) else first
        return f"{run.config.get('devices') or 1} * {name} / {size}"
    return f"{machine.get('cpu_model')} / {size}"


def is_imported(run: Run) -> bool:
    """Whether a run was imported from somebody else's results."""
    return "imported" in run.config
