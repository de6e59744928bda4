"""The types of the values inside a record's parts, on which tables, boards and reports rely.

A part may contain more than is named here, and may lack what is named. Named values have these types.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET
Text = str | None | Unset
Number = float | None | Unset


class RecordedSpan(msgspec.Struct, gc=False):
    """A named part of a run's time, in seconds since the command began."""

    name: str
    start_s: float
    end_s: float
    epoch: int | Unset | None = UNSET
    device_s: Number = UNSET
    rank_s: list[float] | Unset | None = UNSET


class _Named(msgspec.Struct):
    name: Text = UNSET


class _Evaluation(msgspec.Struct):
    tta: int | Unset | None = UNSET
    epoch_tta: int | Unset | None = UNSET


class _Interruption(msgspec.Struct):
    run_id: Text = UNSET
    epoch: int | Unset | None = UNSET
    lost_s: Number = UNSET
    away_s: Number = UNSET


class _Resolved(msgspec.Struct):
    start: Text = UNSET
    resumed: list[_Interruption] | Unset | None = UNSET


class _Imported(msgspec.Struct):
    source: Text = UNSET
    name: Text = UNSET
    author: Text = UNSET
    document: Text = UNSET


class _Config(msgspec.Struct):
    """The parts of a config that boards and summaries read; an imported entry has few of them."""

    # A cell that was skipped before its recipe was resolved may have only a name here.
    data: _Named | str | Unset | None = UNSET
    model: _Named | str | Unset | None = UNSET
    device: Text = UNSET
    devices: int | Unset | None = UNSET
    target_accuracy: Number = UNSET
    evaluation: _Evaluation | Unset | None = UNSET
    resolved: _Resolved | Unset | None = UNSET
    imported: _Imported | Unset | None = UNSET


class _Machine(msgspec.Struct):
    id: Text = UNSET
    host: Text = UNSET
    reference: dict[str, float | None] | Unset | None = UNSET
    off: Text = UNSET
    hardware: Text = UNSET
    label: Text = UNSET
    cpu_model: Text = UNSET
    gpus: list[Any] | Unset | None = UNSET
    usable_cores: int | Unset | None = UNSET
    memory_bytes: int | Unset | None = UNSET


class _Code(msgspec.Struct):
    commit: Text = UNSET
    dirty: bool | Unset | None = UNSET
    sources_sha256: Text = UNSET
    commit_unknown: Text = UNSET
    changed_during_run: list[str] | Unset | None = UNSET
    bytecode_not_of_source: list[str] | Unset | None = UNSET
    loaded: dict[str, str] | Unset | None = UNSET
    own: list[dict[str, str]] | Unset | None = UNSET


class _Data(msgspec.Struct):
    name: Text = UNSET
    fingerprint: Text = UNSET
    official: bool | Unset | None = UNSET
    train_count: int | Unset | None = UNSET
    test_count: int | Unset | None = UNSET


class _Epoch(msgspec.Struct, gc=False):
    """The numbers of an epoch; its row may contain anything else."""

    epoch: int | Unset | None = UNSET
    accuracy: Number = UNSET
    cross_entropy: Number = UNSET
    loss: Number = UNSET
    lr: Number = UNSET
    train_s: Number = UNSET
    examples: Number = UNSET


# Parts that are not named here may contain anything.
PARTS: dict[str, Any] = {
    "spans": list[RecordedSpan],
    "epochs": list[_Epoch],
    "config": _Config,
    "machine": _Machine,
    "code": _Code,
    "data": _Data,
}
_Parts = msgspec.defstruct("_Parts", PARTS.items())
_FLOAT_BITS = 1024
# Endings of metrics' names: booleans, and numbers used in calculations. Other metrics may be anything.
_FLAGS = ("timed_out", "contended", "reached", "coarse")
_NUMBERS = (
    "_s", "_ms", "_j", "_bytes", "_usd", "_error", "_fraction", "accuracy", "cross_entropy", "loss", "flops",
    "flops_per_example", "epochs", "steps", "examples", "parameters",
)  # fmt: skip
_DECODE = {name: msgspec.json.Decoder(shape).decode for name, shape in PARTS.items()}


def check_text(part: str, text: bytes | msgspec.Raw) -> None:
    """Raises msgspec.ValidationError if the JSON of this part of a record has a value of another type."""
    if part in _DECODE:
        with _named(part):
            _DECODE[part](text)


def check(record: Any) -> None:
    """Raises msgspec.ValidationError if a part of this run has a value of another type."""
    msgspec.convert({part: getattr(record, part) for part in PARTS}, _Parts)
    check_values(record.started_at, record.metrics)


def check_values(started_at: str, metrics: Mapping[str, Any]) -> None:
    """Raises msgspec.ValidationError for an impossible date, a number in place of a boolean or the reverse, and an
    integer too large for a float.
    """
    try:
        datetime.fromisoformat(started_at)
    except ValueError as error:
        raise msgspec.ValidationError(f"{error} - at `$.started_at`") from None
    for name, value in metrics.items():
        is_too_large = isinstance(value, int) and value.bit_length() >= _FLOAT_BITS
        if is_too_large or (value is not None and _is_flag(name) is (not isinstance(value, bool))):
            value = f"a number of {value.bit_length()} bits" if is_too_large else value
            raise msgspec.ValidationError(f"{value} is no value of this metric - at `$.metrics.{name}`")


@functools.lru_cache(1 << 12)
def _is_flag(name: str) -> bool | None:
    """Whether a metric is a boolean; None if nothing relies on its type."""
    return True if name.endswith(_FLAGS) else False if name.endswith(_NUMBERS) else None


class _named:  # noqa: N801 - a context manager without a generator's cost, for it is entered for every line
    """Adds the part's name to the path in an error."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, msgspec.ValidationError):
            raise msgspec.ValidationError(str(error).replace("`$", f"`$.{self._part}")) from None
