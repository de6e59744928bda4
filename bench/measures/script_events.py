"""What a script reports: JSON lines from the file or pipe that $BENCH_EVENTS names (see docs/script.md)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.measures.problems import SHOWN_CHARS, Problems
from bench.text.nearest import did_you_mean

KINDS = ("epoch", "span", "metrics")
STATES = ("start", "end")
MOST_EVENTS = 20_000
MOST_LINE_BYTES = 1 << 16
MOST_VALUES = 64
# JSON's rounding can make `at_s` this much later than its line.
ROUNDING_S = 1e-6
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,39}")
_BOUNDED = {"accuracy": 1.0, "percent": 100.0}


class BadEvent(ValueError):
    """The line is not an event; the message says why."""


@dataclass(frozen=True)
class Epoch:
    """An epoch has ended. `values` are its numbers; an accuracy is a fraction."""

    at_s: float
    values: dict[str, float | int]


@dataclass(frozen=True)
class Edge:
    """A span has started or ended."""

    at_s: float
    name: str
    starts: bool
    epoch: int | None = None


@dataclass(frozen=True)
class Metrics:
    """Figures of the whole run."""

    at_s: float
    values: dict[str, float | int]


Event = Epoch | Edge | Metrics


@dataclass
class EventReader:
    """Turns bytes into events as they arrive. Other lines are noted in `problems`; they never raise."""

    began_s: float = 0.0
    problems: Problems = field(default_factory=Problems)
    bad_lines: int = 0
    lines: int = 0
    _rest: bytes = b""

    def feed(self, data: bytes, at_s: float) -> list[Event]:
        """The events of the lines that these bytes complete; they arrived at this moment of the monotonic clock."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_LINE_BYTES:
            self._bad(f"a line of more than {MOST_LINE_BYTES:,} bytes")
            self._rest = b""
        return [event for line in whole if (event := self._event(line, at_s)) is not None]

    def finish(self, at_s: float) -> list[Event]:
        """The event in a last line without a newline, if there is one."""
        return self.feed(b"\n", at_s) if self._rest else []

    @property
    def failure(self) -> str | None:
        """Why some events were ignored; None if none were."""
        return f"more than {MOST_EVENTS:,} events; send some for each epoch" if self.lines > MOST_EVENTS else None

    @property
    def remark(self) -> str | None:
        """A remark on the lines that could not be read; None if all could."""
        if not self.bad_lines:
            return None
        return f"{self.bad_lines} of {self.lines} lines in BENCH_EVENTS are no events: {'; '.join(self.problems)}"

    def _event(self, line: bytes, at_s: float) -> Event | None:
        if not line.strip():
            return None
        self.lines += 1
        if self.lines > MOST_EVENTS:
            return None
        try:
            return parse(line, self.began_s, at_s)
        except BadEvent as error:
            self._bad(f"{error} (line {self.lines}: {line[:SHOWN_CHARS].decode(errors='replace')})")
            return None

    def _bad(self, problem: str) -> None:
        self.bad_lines += 1
        self.problems.note(problem)


def parse(line: bytes, began_s: float, at_s: float) -> Event:
    """One line as an event. Raises `BadEvent`.

    Its own `at_s`, in seconds of the monotonic clock, counts if it lies between `began_s` and the line's arrival.
    """
    try:
        said = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"no JSON: {str(error)[:80]}") from None
    if not isinstance(said, dict):
        raise BadEvent("no JSON object")
    kind = said.pop("event", None)
    if kind not in KINDS:
        raise BadEvent(f"event is {_short(kind)}{did_you_mean(str(kind)[:40], KINDS)}; there are {', '.join(KINDS)}")
    claimed_s = said.pop("at_s", None)
    if _is_number(claimed_s) and began_s <= claimed_s <= at_s + ROUNDING_S:
        at_s = min(float(claimed_s), at_s)
    if kind == "span":
        return _edge(said, at_s)
    values = _numbers(said)
    if kind == "metrics":
        if not values:
            raise BadEvent("metrics without a value")
        return Metrics(at_s, values)
    if "epoch" in values:
        values["epoch"] = _epoch(values["epoch"])
    if "percent" in values:
        values["accuracy"] = values.pop("percent") / 100
    return Epoch(at_s, values)


def _edge(said: Mapping[str, Any], at_s: float) -> Edge:
    name, state = said.get("name"), said.get("state")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadEvent(f"a span's name is letters, digits and _, such as train, not {_short(name)}")
    if state not in STATES:
        raise BadEvent(f"a span's state is start or end, not {_short(state)}")
    epoch = said.get("epoch")
    return Edge(at_s, name, state == "start", None if epoch is None else _epoch(epoch))


def _numbers(said: Mapping[str, Any]) -> dict[str, float | int]:
    """The values, without those that are null."""
    if len(said) > MOST_VALUES:
        raise BadEvent(f"{len(said)} values; at most {MOST_VALUES}")
    values: dict[str, float | int] = {}
    for name, value in said.items():
        if value is None:
            continue
        if not _NAME.fullmatch(name):
            raise BadEvent(f"{_short(name)} is no name of a value; use letters, digits and _")
        if not _is_number(value):
            raise BadEvent(f"{name} is {_short(value)}, and no number")
        most = _BOUNDED.get(name)
        if most is not None and not math.isnan(value) and not 0 <= value <= most:
            hint = ", a fraction; send 93.5 % as percent" if name == "accuracy" else ""
            raise BadEvent(f"{name} is {value:g}, and should be from 0 to {most:g}{hint}")
        values[name] = value
    return values


def _epoch(value: Any) -> int:
    if not _is_number(value) or not math.isfinite(value) or not float(value).is_integer() or not 0 <= value < 1e9:
        raise BadEvent(f"epoch is {_short(value)}, and no whole number from 0")
    return int(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 1 << 63


def _short(value: Any) -> str:
    return repr(value)[:40]
