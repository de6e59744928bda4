"""Checkpoints of interrupted runs: where they are, whose they are, and what would make going on from one wrong.

A checkpoint is a file of values (JSON) beside a file of state for each rank (`bench.runs.state_file`). The values are
written last and name the states with their hashes, so that a checkpoint is there as a whole or not at all. This module
does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.errors import MissingError, UsageError
from bench.files import open_regular, replacing, sha256_of
from bench.host.clock import Span

SUFFIX = ".checkpoint"
LOST = "lost"
# Parts of a machine that are named if it is another one.
_OF_MACHINES = (
    "cpu_model", "usable_cores", "cpu_quota", "omp_num_threads", "memory_bytes", "gpus", "gpu_driver", "torch",
    "torch_cuda", "cpu_flags",
)  # fmt: skip


class Ended(msgspec.Struct, frozen=True):
    """How the run ended that last worked on from a checkpoint: on its clock, and in UTC."""

    run_id: str
    status: str
    at_s: float
    at_utc_s: float
    paused_s: float = 0.0


class Values(msgspec.Struct, frozen=True):
    """What a checkpoint says of itself: whose it is, and all that a record needs of the part of the run before it.

    `elapsed_s` is the time on the run's clock at which it was written. `parts` are the interruptions before this run,
    as a record has them (`Run.resumed`). `usage`, `peaks` and `energy_j` are the machine's counters until then.
    """

    format: Literal["bench checkpoint 1"]
    run_id: str
    recipe: str
    cell: str
    seed: int
    epoch: int
    epochs: float
    elapsed_s: float
    config: dict[str, Any]
    code: dict[str, Any]
    machine: dict[str, Any]
    data: dict[str, Any]
    states: dict[str, str]
    spans: list[dict[str, Any]]
    parts: list[dict[str, Any]] = []
    usage: dict[str, Any] | None = None
    peaks: dict[str, int | None] = {}
    energy_j: dict[str, float] = {}
    ended: Ended | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The values of a checkpoint, and the file that holds them."""

    path: Path
    values: Values

    @property
    def resumed_s(self) -> float:
        """The time on the clock at which the run goes on: that of the interruption, or of the checkpoint if unknown."""
        ended = self.values.ended
        return self.values.elapsed_s if ended is None else max(ended.at_s, self.values.elapsed_s)

    @property
    def lost_s(self) -> float | None:
        """The time between checkpoint and interruption; None if the command was killed, which knows no end."""
        return None if self.values.ended is None else self.resumed_s - self.values.elapsed_s

    def spans(self) -> list[Span]:
        """The spans up to the checkpoint, and one for the time that was lost."""
        spans = [Span(**{**span, "rank_s": _tuple(span.get("rank_s"))}) for span in self.values.spans]
        return [*spans, Span(LOST, self.values.elapsed_s, self.resumed_s)] if self.lost_s else spans

    def parts(self, now_utc_s: float) -> list[dict[str, Any]]:
        """The interruptions that a run has behind it that goes on from here now, for its record."""
        values, ended = self.values, self.values.ended
        away_s = now_utc_s - ended.at_utc_s if ended else None
        part = {
            "run_id": ended.run_id if ended else values.run_id,
            "epoch": values.epoch,
            "lost_s": self.lost_s,
            # A clock that was set back meanwhile tells nothing.
            "away_s": away_s if away_s is None or away_s >= 0 else None,
        }
        return [*values.parts, part]

    def state(self, rank: int) -> tuple[Path, str]:
        """The file of a rank's state, and its SHA-256."""
        name, sha256 = list(self.values.states.items())[rank]
        return self.path.with_name(name), sha256

    def check(self, code: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        """Raise `UsageError` if it is torn, or of other code or another machine than these, with what differs."""
        values = self.values
        if values.code.get("sources_sha256") != code.get("sources_sha256"):
            raise self.refusal(f"it is of other code: {_code(values.code)}, and here is {_code(code)}")
        if values.machine.get("id") != machine.get("id"):
            raise self.refusal(f"it is of another machine: {_difference(values.machine, machine)}")
        for rank in range(len(values.states)):
            path, sha256 = self.state(rank)
            if _sha256(path) != sha256:
                raise self.torn(path.name)

    def check_data(self, fingerprint: str) -> None:
        """Raise `UsageError` if the data is not that of the run."""
        known = str(self.values.data.get("fingerprint"))
        if known != fingerprint:
            raise self.refusal(f"it is of other data: fingerprint {known[:12]}, and here {fingerprint[:12]}")

    def refusal(self, why: str) -> UsageError:
        return UsageError(
            f"--resume: the checkpoint of run {self.values.run_id}, seed {self.values.seed}, after epoch "
            f"{self.values.epoch}, cannot be continued: {why}. Continue it where it was made, or leave out --resume to "
            "begin anew"
        )

    def torn(self, name: str) -> UsageError:
        return _torn(self.path, f"{name} is missing or not as it was written")

    def ended(self, ended: Ended) -> None:
        """Note how the run ended. Raises OSError."""
        _write(self.path, msgspec.structs.replace(self.values, ended=ended))

    def remove(self) -> None:
        """Remove it. Raises OSError."""
        remove(self.path)


@dataclass(frozen=True)
class CheckpointPlace:
    """Where a run writes its checkpoints, and what they say of it: the fields of `Values` that a worker cannot know."""

    folder: Path
    run_id: str
    recipe: str
    cell: str
    seed: int
    config: dict[str, Any]
    code: dict[str, Any]
    machine: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / f"{_stem(self.cell, self.seed)}-{self.run_id}{SUFFIX}"

    def state_path(self, epoch: int, rank: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-epoch{epoch}-rank{rank}.state")

    def write(self, **values: Any) -> None:
        """Write the values, which makes the states that they name the checkpoint; earlier ones of the run go.

        Raises OSError.
        """
        of_run = {key: value for key, value in asdict(self).items() if key != "folder"}
        made = Values(format="bench checkpoint 1", **of_run, **values)
        _write(self.path, made)
        for path in _states_of(self.path):
            if path.name not in made.states:
                path.unlink(missing_ok=True)


def folder_of(results: Path) -> Path:
    return results / "runs" / "checkpoints"


def make_room(results: Path) -> None:
    """Create the folder. Raises `MissingError` if that fails, before a training instead of in the middle of it."""
    try:
        folder_of(results).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingError(
            f"checkpoint: {folder_of(results)} cannot be made: {error.strerror}; give --results"
        ) from None


def find(results: Path, cell: str, seed: int) -> Checkpoint | None:
    """The checkpoint of this cell and seed with the most epochs, the newest of equals; None without one.

    Raises `UsageError` for a torn one.
    """
    paths = sorted(folder_of(results).glob(f"{_stem(cell, seed)}-*{SUFFIX}"))
    found = [read(path) for path in paths]
    return max(found, key=lambda one: (one.values.epoch, one.values.run_id), default=None)


def of_other_cells(results: Path, recipe: str, cell: str, seed: int) -> Iterator[Checkpoint]:
    """The checkpoints of a recipe of this name and seed that has other settings, without torn ones."""
    for path in sorted(folder_of(results).glob(f"*-seed{seed}-*{SUFFIX}")):
        try:
            found = read(path)
        except UsageError:
            continue
        if found.values.recipe == recipe and found.values.cell != cell:
            yield found


def read(path: Path) -> Checkpoint:
    """Raises `UsageError` for a file that is no checkpoint, or a torn one."""
    try:
        with open(open_regular(path), "rb") as file:
            return Checkpoint(path, msgspec.json.decode(file.read(), type=Values))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _torn(path, str(error)) from None


def remove(path: Path) -> None:
    """Remove a checkpoint, its values first, so that no half of it is ever taken for one. Raises OSError."""
    path.unlink(missing_ok=True)
    for state in _states_of(path):
        state.unlink(missing_ok=True)


def _stem(cell: str, seed: int) -> str:
    return f"{cell}-seed{seed}"


def _states_of(path: Path) -> list[Path]:
    """The states of a run's checkpoints, and the beginnings of such that a killed worker left."""
    return [*path.parent.glob(f"{path.stem}-epoch*.state"), *path.parent.glob(f".{path.stem}*.part")]


def _write(path: Path, values: Values) -> None:
    with replacing(path) as draft:
        draft.write_bytes(msgspec.json.encode(values))


def _torn(path: Path, why: str) -> UsageError:
    return UsageError(
        f"--resume: the checkpoint {path} is torn: {why}. Remove it (rm {path.with_suffix('')}*), or leave out "
        "--resume, to begin anew"
    )


def _sha256(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None


def _tuple(seconds: Any) -> tuple[float, ...] | None:
    return None if seconds is None else tuple(seconds)


def _code(code: Mapping[str, Any]) -> str:
    commit = str(code.get("commit") or "no commit")[:12]
    return f"{commit}{' with changes' if code.get('dirty') else ''}, sources {str(code.get('sources_sha256'))[:12]}"


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    differing = [key for key in _OF_MACHINES if theirs.get(key) != ours.get(key)]
    told = [f"{key} {theirs.get(key)}, and here {ours.get(key)}" for key in differing[:3]]
    return "; ".join(told) or f"{theirs.get('id')}, and here {ours.get('id')}"
