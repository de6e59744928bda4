"""A regular expression that finds epochs in the lines that a script prints, with a bound on the time it may take."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.text.nearest import did_you_mean

# Groups with a meaning. Any other group is a figure of the epoch.
ACCURACY, PERCENT, EPOCH = "accuracy", "percent", "epoch"
# CPU time for the lines that arrive together. A sound pattern takes a thousandth of it.
MOST_SEARCH_S = 0.25
# Only this much of a longer line is searched.
MOST_LINE_CHARS = 1 << 14
MOST_GROUPS = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
EXAMPLE = r"'epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)'"


class BadPattern(ValueError):
    """This pattern cannot find epochs; the message says what to write."""


class TooSlow(Exception):
    """The pattern backtracks on this line for longer than it may take."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


class Match(NamedTuple):
    """What the pattern found in a line: the text of each named group, and what follows the accuracy in the line."""

    groups: dict[str, str]
    behind_accuracy: str


class EpochPattern:
    """The compiled pattern; a signal limits `search`, so only the main thread is protected."""

    def __init__(self, pattern: str) -> None:
        """Raises `BadPattern` if it is not a regular expression or has no named group."""
        try:
            self._pattern = re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadPattern(f"{pattern[:200]!r} is no regular expression: {error}") from None
        names = list(self._pattern.groupindex)
        if not names:
            raise BadPattern(f"{pattern[:200]!r} has no named group; put one around the accuracy, as in {EXAMPLE}")
        for name in names:
            if not _NAME.fullmatch(name):
                raise BadPattern(f"the group {name!r} names no figure; use small letters, digits and _")
        if ACCURACY in names and PERCENT in names:
            raise BadPattern("the groups accuracy and percent are one figure; leave one out")
        if len(names) > MOST_GROUPS:
            raise BadPattern(f"{len(names)} named groups; at most {MOST_GROUPS}")
        if not {ACCURACY, PERCENT, EPOCH} & set(names):
            near = next(
                (f"{name!r}{hint}" for name in names if (hint := did_you_mean(name, (ACCURACY, PERCENT, EPOCH)))), ""
            )
            raise BadPattern(
                f"none of its groups is accuracy, percent or epoch{near and f'; there is {near}'}; see {EXAMPLE}"
            )
        self._accuracy = next((name for name in (ACCURACY, PERCENT) if name in names), None)

    @property
    def tells_accuracy(self) -> bool:
        return self._accuracy is not None

    def search(self, lines: Sequence[str]) -> list[tuple[int, Match]]:
        """The matches in these lines, each with its line's position. Raises `TooSlow` if they take too long."""
        found: list[tuple[int, Match]] = []
        at, search = 0, self._pattern.search
        try:
            with _cpu_time_limit(MOST_SEARCH_S):
                for at, line in enumerate(lines):
                    if (match := search(line, 0, MOST_LINE_CHARS)) is not None:
                        found.append((at, self._told(match, line)))
        except _Expired:
            raise TooSlow(lines[at]) from None
        return found

    def _told(self, match: re.Match[str], line: str) -> Match:
        groups = {name: text for name, text in match.groupdict().items() if text is not None}
        end = match.end(self._accuracy) if self._accuracy in groups else -1
        return Match(groups, line[end : end + 2] if end >= 0 else "")


class _Expired(Exception):
    pass


@contextmanager
def _cpu_time_limit(seconds: float) -> Iterator[None]:
    """Raise `_Expired` in the body after so much CPU time. It works because `re` checks for signals while it matches.

    SIGVTALRM counts CPU time, so that a busy machine does not make a pattern slow. Only the main thread gets signals;
    in other threads there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside = True

    def expire(_number: int, _frame: object) -> None:
        if inside:
            raise _Expired

    before = signal.signal(signal.SIGVTALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            yield
        finally:
            inside = False  # an alarm from here on is too late to matter
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)
