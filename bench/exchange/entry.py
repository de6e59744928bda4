"""An entry of DAWNBench's CIFAR10 tasks as data: its author, hardware and results.

The names and units are DAWNBench's: accuracies in percent, hours that are cumulative, latency in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.errors import UsageError

VERSION = "v1.0"
TARGET_PERCENT = 94.0


class Unfit(UsageError):
    """A run cannot be expressed in a format; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The fields of both kinds of entry. `timestamp` is yyyy-mm-dd; `extra` holds keys that the format does not
    define."""

    author: str
    author_email: str
    framework: str
    model: str
    hardware: str
    timestamp: str
    code_url: str | None = None
    commit_hash: str | None = None
    log_filename: str | None = None
    misc: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EntryRow:
    """The state after an epoch, which may be fractional; `hours` are since the start, without evaluation."""

    epoch: float
    hours: float
    top1_percent: float


@dataclass(frozen=True, kw_only=True)
class TrainEntry(Submission):
    """`rows` in order of time, at least one of which reaches the target; dollars on demand per hour."""

    rows: tuple[EntryRow, ...]
    cost_per_hour: float | None = None

    @property
    def result(self) -> EntryRow:
        """The first row at or above 94 %."""
        return next(row for row in self.rows if row.top1_percent >= TARGET_PERCENT)

    @property
    def time_s(self) -> float:
        return self.result.hours * 3600

    @property
    def cost_usd(self) -> float | None:
        return None if self.cost_per_hour is None else self.result.hours * self.cost_per_hour


@dataclass(frozen=True, kw_only=True)
class InferenceEntry(Submission):
    """`latency_ms` and `cost_usd` are of one image: all 10,000 test images one at a time, divided by 10,000."""

    latency_ms: float
    top1_percent: float
    cost_usd: float | None = None


Entry = TrainEntry | InferenceEntry
