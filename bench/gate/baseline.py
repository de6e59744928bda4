"""Stored baselines: earlier measurements on a machine, and how much they vary there.

One JSON file for each matrix and machine, in `results/baselines`. The machine is identified by its fingerprint, which
contains no host name, so a file can be committed and used on machines of the same kind.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import MissingError, UsageError
from bench.files import replacing
from bench.gate import noise
from bench.gate.conditions import difference_of_machines
from bench.gate.quantity import QUANTITIES, Quantity
from bench.gate.source import Result
from bench.runs.slow_hosts import KERNELS

# 2: each round has its own start, and results have seeds.
SCHEMA = 2
OLD = "an older bench made it, from one start for all runs, whose memory says nothing of another start's"
MACHINE_FACTS = (
    "id", "device", "cpu_model", "cpu_flags", "usable_cores", "cpu_quota", "omp_num_threads", "memory_bytes", "gpus",
    "gpu_driver", "torch", "os",
)  # fmt: skip


class NoBaseline(MissingError):
    """There is no baseline of this matrix for this machine; the text names the command that makes one."""


@dataclass(frozen=True)
class Baseline:
    """Results of `matrix`, with code, machine and time; `reference` are the seconds of the machine's reference
    kernels, and `versions` those of the packages that the results were made with, empty if an older bench made it."""

    matrix: str
    saved_at: str
    machine: Mapping[str, Any]
    code: Mapping[str, Any]
    reference: Mapping[str, float]
    results: Sequence[Result]
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.matrix}-{self.machine['id']}"

    def times(self) -> dict[str, tuple[Quantity, list[float]]]:
        """By cell, its first quantity that is a time and is judged by the gate, with the values in order."""
        found = {}
        for label in dict.fromkeys(result.label for result in self.results):
            runs = [result for result in self.results if result.label == label]
            for quantity in QUANTITIES[runs[0].measure]:
                values = [(result.metrics or {}).get(quantity.metric) for result in runs]
                if quantity.is_time and quantity.in_gate and all(values):
                    found[label] = quantity, [float(value) for value in values if value]
                    break
        return found

    def noise(self) -> dict[str, float]:
        """The standard deviation of the log ratio of neighbouring runs, by cell."""
        deviations = {label: noise.pair_noise(values) for label, (_, values) in self.times().items()}
        return {label: deviation for label, deviation in deviations.items() if deviation is not None}

    def floors(self, rounds: int) -> dict[str, float]:
        """The smallest slow-down that this many rounds can find, by cell."""
        return {label: noise.floor(deviation, rounds) for label, deviation in self.noise().items()}


def make(
    matrix: str,
    results: Sequence[Result],
    machine: Mapping[str, Any],
    code: Mapping[str, Any],
    reference: Mapping[str, float],
) -> Baseline:
    """A new baseline with the facts about machine and runs that comparisons need."""
    kept = [
        Result(
            result.config,
            result.label,
            result.measure,
            result.at,
            {one.metric: (result.metrics or {}).get(one.metric) for one in QUANTITIES[result.measure]},
            seed=result.seed,
            data_fingerprint=result.data_fingerprint,
        )
        for result in results
    ]
    versions = next((dict(result.versions) for result in results if result.versions), {})
    facts = {key: machine.get(key) for key in MACHINE_FACTS}
    return Baseline(
        matrix, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", facts, dict(code), dict(reference), kept, versions
    )


def save(baseline: Baseline, folder: Path) -> Path:
    """Write it, replacing one of the same matrix and machine. Raises MissingError if that fails."""
    path = folder / f"{baseline.name}.json"
    content = {"schema": SCHEMA, **asdict(baseline)}
    for result in content["results"]:
        for known in ("machine", "code", "reason", "start", "versions"):
            del result[known]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise MissingError(f"{path}: the baseline cannot be written: {error.strerror}; make room there") from None
    return path


def read(path: Path) -> Baseline:
    """Read a baseline. Raises MissingError for a file that is not a baseline of this schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (schema := content.pop("schema")) != SCHEMA:
            raise ValueError(OLD if schema == 1 else f"its schema is {schema}, and this bench knows {SCHEMA}")
        machine, code = content["machine"], content["code"]
        known = {"machine": machine, "code": code, "versions": content.get("versions", {})}
        results = [Result(**result, **known) for result in content.pop("results")]
        if not results or not machine["id"] or not all(f"{name}_s" in content["reference"] for name in KERNELS):
            raise ValueError("something is missing in it")
        return Baseline(**content, results=results)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingError(f"{path}: this is no baseline to go by ({error}); `bench baseline save` makes one") from None


def read_all(folder: Path) -> list[Baseline]:
    """Every baseline, in order of name."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def find(folder: Path, matrix: str, machine: Mapping[str, Any]) -> Baseline:
    """The baseline of a matrix for this machine. Raises NoBaseline, which says for which machines there are some."""
    path = folder / f"{matrix}-{machine['id']}.json"
    if path.is_file():
        return read(path)
    foreign = [one for one in map(read, sorted(folder.glob(f"{glob.escape(matrix)}-*.json"))) if one.matrix == matrix]
    why = f"there is no baseline of {matrix} in {folder}"
    if foreign:
        differs = difference_of_machines(foreign[-1].machine, machine)
        others = ", ".join(one.machine["id"] for one in foreign)
        why = f"the baselines of {matrix} are of other machines ({others}; this is {machine['id']}: {differs})"
    raise NoBaseline(f"{why}; `bench baseline save {matrix}` makes one here, --base REVISION needs none")


def named(folder: Path, name: str) -> Path:
    """The file of a baseline by the beginning of its name. Raises UsageError unless exactly one fits."""
    found = [path for path in sorted(folder.glob("*.json")) if path.stem.startswith(name)]
    if len(found) != 1:
        known = ", ".join(path.stem for path in (found or sorted(folder.glob("*.json")))) or "none"
        which = "several" if found else "no"
        raise UsageError(f"{which} baselines in {folder} have names that begin with {name!r}; there are: {known}")
    return found[0]


def check_margin(margin: float, floors: Mapping[str, float], rounds: int) -> None:
    """Raises UsageError for a margin below the machine's noise floor."""
    below = {label: floor for label, floor in floors.items() if margin < floor}
    if below:
        worst = max(below, key=lambda label: below[label])
        raise UsageError(
            f"--margin {margin:.2%}: below the noise floor of this machine. Of {worst}, {rounds} rounds can show a "
            f"slow-down of {below[worst]:.2%} at the least, by the A/A runs of its baseline; name a larger margin or "
            "more --rounds, or quiet the machine and save the baseline again"
        )
