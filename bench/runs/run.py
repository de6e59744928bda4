"""The Run: the one record that every table, leaderboard and verdict is derived from."""

from __future__ import annotations

import codecs
import hashlib
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from bench.errors import MissingError
from bench.runs import shape
from bench.text.canonical import canonical_json
from bench.text.undecodable import readable

SCHEMA = 1

Status = Literal[
    "ok", "not_reached", "diverged", "oom", "timeout", "crashed", "interrupted", "skipped", "failed", "invalid"
]  # fmt: skip
# No run ends so. Readers see it in place of the recorded status if an annotation declares the run invalid.
INVALID: Status = "invalid"
STATUSES: tuple[str, ...] = tuple(status for status in get_args(Status) if status != INVALID)
UtcTime = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")]
# The statuses of runs that completed and therefore have results to average.
FINISHED: tuple[Status, ...] = ("ok", "not_reached")
Scalar = float | int | bool | str | None
Migration = Callable[[dict[str, Any]], dict[str, Any]]

# The step at position i turns a record of schema i + 1 into one of schema i + 2.
MIGRATIONS: tuple[Migration, ...] = ()

# Keys that may differ between repeats of the same cell: seeds, prices and texts.
NOT_IDENTITY = frozenset({"seed", "seeds", "price_per_hour", "summary", "source", "published"})

_NON_FINITE = "non_finite"


class RecordError(MissingError):
    """A record is damaged, or this version does not understand it."""


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measurement of one cell, with everything needed to judge and repeat it.

    A span is `{name, start_s, end_s, epoch, device_s}`: host seconds since the command started, and the device's own
    seconds if it has a clock. `host`, if measured, says what else the machine did meanwhile
    (`bench.host.contention.Usage`). A metric's unit is part of its name. `started_at` is ISO 8601 in UTC, `command` is
    the command line quoted for a shell, and `log` is relative to the results folder. `tags` and `notes` are what the
    user said of it beforehand, and on reading also what was said afterwards (`bench.runs.annotation`).

    In a run on several devices, a span is that of the slowest rank, with every rank's host seconds in `rank_s`; spans
    before the ranks have met are those of rank 0. The metrics `train_s_rank0` and so on are each rank's own seconds in
    training, `examples` and `samples_per_s` count all ranks, and peak memory is that of the rank with most.
    """

    run_id: str
    cell: str
    recipe: str
    seed: int
    status: Status
    started_at: UtcTime
    schema: int = SCHEMA
    sweep: str | None = None
    reason: str | None = None
    log: str | None = None
    log_tail: list[str] = []
    command: str = ""
    measure: str = "time_to_accuracy"
    config: dict[str, Any] = {}
    price_per_hour: float | None = None
    metrics: dict[str, float | int | bool | None] = {}
    spans: list[dict[str, Any]] = []
    epochs: list[dict[str, Scalar]] = []
    machine: dict[str, Any] = {}
    code: dict[str, Any] = {}
    data: dict[str, Any] = {}
    versions: dict[str, str] = {}
    tags: list[str] = []
    notes: list[str] = []

    @property
    def is_cut_short(self) -> bool:
        """Whether sampling stopped at its time limit, with fewer samples than the criterion requires."""
        return any(value is True and name.endswith("timed_out") for name, value in self.metrics.items())

    @property
    def repeated_by(self) -> str:
        """The command that repeats this run; a sweep, which skips finished cells, needs an option for it."""
        if self.command.startswith("bench sweep ") and "--rerun" not in self.command:
            return f"{self.command} --rerun {self.cell}"
        return self.command

    @property
    def is_script(self) -> bool:
        """Whether it was a command of the user's, timed from outside, and no recipe."""
        return "command" in self.config

    @property
    def global_batch_size(self) -> int | None:
        """The examples of a training step on all devices together; None of a script, which does not say it."""
        size, devices = self.config.get("batch_size"), self.config.get("devices")
        if not isinstance(size, int):
            return None
        return size * devices if isinstance(devices, int) and self.config.get("batch_per") == "device" else size

    @property
    def reported(self) -> frozenset[str]:
        """The spans that a script told of, and `epochs` where it is known when they ended."""
        told = self._resolved("reported")
        return frozenset(name for name in told if isinstance(name, str)) if isinstance(told, list) else frozenset()

    @property
    def shares_process(self) -> bool:
        """Whether several seeds shared its process, which loaded, built and compiled only once."""
        return self._resolved("shared_process") is True

    @property
    def keeps_compiled(self) -> bool:
        """Whether it could reuse compiled programs from earlier runs."""
        return bool(self._resolved("compiled_cache") == "kept")

    @property
    def resumed(self) -> list[dict[str, Any]]:
        """The interruptions behind a run that went on from checkpoints, in order; empty for a run in one piece.

        Each says which run was interrupted (`run_id`), after which `epoch` the work went on, how much of it was lost
        (`lost_s`), and how long nothing happened (`away_s`); both are None if unknown.
        """
        told = self._resolved("resumed")
        return [part for part in told if isinstance(part, dict)] if isinstance(told, list) else []

    def _resolved(self, name: str) -> Any:
        resolved = self.config.get("resolved")
        return resolved.get(name) if isinstance(resolved, dict) else None

    def to_json_line(self) -> bytes:
        """UTF-8 JSON on one line, newline included; keys are the field names.

        JSON has no NaN and no infinities. Each is written as null and listed in `non_finite`, a map from its JSON
        pointer (RFC 6901) to "nan", "inf" or "-inf", so that a divergence can be read back.

        Bytes of file names and arguments that are no text are written out, as `\\xe9`.

        Raises TypeError for a field of the wrong type, because it could not be read back.
        """
        record = msgspec.to_builtins(self, enc_hook=_plain)
        non_finite = dict(_take_non_finite(record, ""))
        if non_finite:
            record[_NON_FINITE] = non_finite
        try:
            line = msgspec.json.encode(record) + b"\n"
        except UnicodeEncodeError:
            line = msgspec.json.encode(readable(record)) + b"\n"
        try:
            Run.from_json_line(line)
        except RecordError as error:
            raise TypeError(str(error)) from None
        return line

    @classmethod
    def from_json_line(cls, line: bytes) -> Run:
        """The run on a line. Raises RecordError if the line is not a record of this schema or an older one."""
        try:
            run = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return cls.from_dict(_json_object(line))
        return run._checked() if run.schema == SCHEMA else cls.from_dict(_json_object(line))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Run:
        """A Run from its JSON object. An older schema is migrated; a newer one raises RecordError."""
        current = migrate(dict(record))
        non_finite = current.pop(_NON_FINITE, {})
        try:
            for pointer, text in non_finite.items():
                _put(current, pointer, float(text))
            return msgspec.convert(current, cls)._checked()
        except (msgspec.ValidationError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise RecordError(f"not a run of schema {SCHEMA}: {error}") from None

    def _checked(self) -> Run:
        """This run. Raises RecordError if a part has a value of a type that the project cannot use."""
        try:
            shape.check(self)
        except msgspec.ValidationError as error:
            raise RecordError(f"not a run of schema {SCHEMA}: {error}") from None
        return self


_DECODER = msgspec.json.Decoder(Run)


def new_run_id(now: datetime | None = None) -> str:
    """UTC time to the microsecond and 32 random bits, so that text order is time order on all machines."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"


def cell_id(config: Mapping[str, Any]) -> str:
    """16 hex digits, equal for configs that differ only in seed, price and documentation.

    Nulls count as absent, so that a key that a later version adds with the default null does not change any id.
    """
    identity = _without_nulls({key: value for key, value in config.items() if key not in NOT_IDENTITY})
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]


def migrate(record: dict[str, Any], to: int = SCHEMA, steps: Sequence[Migration] = MIGRATIONS) -> dict[str, Any]:
    """The record in schema `to`, migrated schema by schema."""
    schema = record.get("schema")
    if type(schema) is not int or schema < 1:
        raise RecordError(f"not a run: its schema is {schema!r}, and should be 1 to {to}")
    if schema > to:
        raise RecordError(
            f"written by a newer version: schema {schema}, this version reads up to {to}; upgrade to read it"
        )
    for step in steps[schema - 1 : to - 1]:
        record = step(record)
    return record | {"schema": to}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _plain(value: Any) -> Any:
    """Values such as NumPy scalars as JSON, so that a long run is not lost because of one of them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(item := getattr(value, "item", None)):
        return item()
    raise TypeError(f"a run cannot hold a {type(value).__name__}: {value!r}")


def _take_non_finite(node: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Replace numbers that JSON cannot write by None, and yield their pointer and value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(value, float):
            if not math.isfinite(value):
                node[key] = None
                yield here, str(float(value))
        else:
            yield from _take_non_finite(value, here)


def _put(node: Any, pointer: str, value: float) -> None:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    node[int(last) if isinstance(node, list) else last] = value


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        # Some editors put a byte-order mark at the beginning of a file; it is not part of the text.
        return msgspec.json.decode(line.removeprefix(codecs.BOM_UTF8), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not a JSON object: {error}") from None
