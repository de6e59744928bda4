"""A regular expression that finds epochs in the lines that a script prints, with a bound on the time it may take."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.text.nearest import did_you_mean

# Groups with a meaning; every other group is a number of the epoch by its own name.
ACCURACY, PERCENT, EPOCH = "accuracy", "percent", "epoch"
# CPU time for the lines that arrive together, of which a sound pattern takes a thousandth.
MOST_SEARCH_S = 0.25
# Of a longer line, so much is looked at.
MOST_LINE_CHARS = 1 << 14
MOST_GROUPS = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
EXAMPLE = r"'epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)'"


class BadPattern(ValueError):
    """No pattern that could find an epoch; the message says what to write."""


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
    """The compiled pattern; `search` may be called in the main thread alone, because a signal bounds it."""

    def __init__(self, pattern: str) -> None:
        """Raises `BadPattern` for what is no regular expression, or has no named group."""
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
        """What is found in these lines, with the position of each line. Raises `TooSlow`, once and for all lines."""
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
    """Raise `_Expired` in the body when it has used so much CPU time; Python's matching engine looks for signals.

    By SIGVTALRM, which nothing else here uses: a busy machine does not make a pattern slow. Beside the main thread,
    which alone gets signals, there is no limit.
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
