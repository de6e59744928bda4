"""Epochs found in what a script prints: the numbers of each, when its line arrived, and percent told from fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.measures.problems import SHOWN_CHARS, Problems
from bench.spec.epoch_pattern import ACCURACY, EPOCH, PERCENT, EpochPattern, Match, TooSlow

MOST_EPOCHS = 10_000
# After an accuracy above 10 %, a number of at most 1 may be a fraction.
LEAP = 10.0


@dataclass(frozen=True)
class EpochLine:
    """A line that reported an epoch; `accuracy` is the number as printed, `is_percent` whether the line says so."""

    at_s: float
    values: dict[str, Any]
    accuracy: float | None
    is_percent: bool


@dataclass
class EpochLines:
    """The epochs found so far; `problems` lists what was wrong with some lines."""

    pattern: EpochPattern
    found: list[EpochLine] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    gave_up: str | None = None
    _largest: float = 0.0

    @property
    def latest(self) -> float | None:
        """The last accuracy as a fraction, judged by the lines so far; `accuracies` is final."""
        if not self.found or self.found[-1].accuracy is None:
            return None
        is_percent = self.found[-1].is_percent or self._largest > 1
        return self.found[-1].accuracy / (100 if is_percent else 1)

    def look(self, lines: Sequence[str], at_s: float) -> list[EpochLine]:
        """The epochs in lines that arrived at this moment."""
        if self.gave_up is not None:
            return []
        try:
            matches = self.pattern.search(lines)
        except TooSlow as slow:
            self.gave_up = (
                f"the pattern was given up: it backtracks without end on the line {slow.line[:SHOWN_CHARS]!r}; "
                "avoid a repeat within a repeat, such as (a+)+"
            )
            return []
        new = [line for _, match in matches if (line := self._line(match, at_s)) is not None]
        self.found += new
        if len(self.found) > MOST_EPOCHS:
            self.gave_up = f"the pattern matched more than {MOST_EPOCHS:,} lines; let it match one line an epoch"
        self._largest = max([self._largest, *(line.accuracy for line in new if line.accuracy is not None)])
        return new

    def accuracies(self) -> tuple[list[float | None], str | None]:
        """The accuracy of each epoch as a fraction, and how percent and fractions were told apart.

        Raises ValueError if they cannot be told apart.
        """
        given = [(line.accuracy, line.is_percent) for line in self.found if line.accuracy is not None]
        if not given:
            return [None] * len(self.found), None
        percent, how = _scale(given)
        scale = 100 if percent else 1
        return [None if line.accuracy is None else line.accuracy / scale for line in self.found], how

    def _line(self, match: Match, at_s: float) -> EpochLine | None:
        values: dict[str, Any] = {}
        for name, text in match.groups.items():
            number = _number(text)
            if number is None or (name in (ACCURACY, PERCENT) and not 0 <= number <= 100 and not math.isnan(number)):
                what = "no number" if number is None else "not from 0 to 100"
                self.problems.note(f"the group {name} matched {text[:40]!r}, which is {what}")
                return None
            values[name] = number
        if EPOCH in values:
            if not 0 <= values[EPOCH] < 1e9 or not float(values[EPOCH]).is_integer():
                self.problems.note(f"the group epoch matched {match.groups[EPOCH][:40]!r}, which is no epoch's number")
                return None
            values[EPOCH] = int(values[EPOCH])
        is_percent = PERCENT in values or match.behind_accuracy.lstrip()[:1] == "%"
        accuracy = values.pop(PERCENT, values.pop(ACCURACY, None))
        return EpochLine(at_s, values, accuracy, is_percent)


def _scale(given: Sequence[tuple[float, bool]]) -> tuple[bool, str]:
    """Whether these accuracies are percent, and how that is known."""
    numbers = [number for number, _ in given if not math.isnan(number)]
    if all(is_percent for _, is_percent in given):
        return True, "accuracies are percent, as their lines say"
    largest = max(numbers, default=0.0)
    if any(is_percent for _, is_percent in given):
        raise ValueError(
            "some accuracies are followed by % and some are not; let the pattern match one kind of line, or name the "
            "group percent"
        )
    if largest <= 1:
        return False, "accuracies are fractions, because none is above 1"
    seen = 0.0
    for number in numbers:
        if 0 < number <= 1 and seen > LEAP:
            raise ValueError(
                f"{seen:g} is percent, and {number:g} after it may be a fraction; let the pattern match one of them, "
                "or name the group percent"
            )
        seen = max(seen, number)
    return True, f"accuracies are percent, because {largest:g} is above 1"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isinf(number) else number
