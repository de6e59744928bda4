"""A script's time, cut into spans that do not overlap, by its own spans or by the ends of its epochs.

The rule books match evaluations with accuracies in order of time (`bench.scores.rules.timing`). So each epoch with an
accuracy gets one `eval` span here: the last one that the script reported since the epoch before, or an empty one.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.measures.problems import Problems

LOOKS = ("eval", "final_eval")
TRAIN = "train"
# Loading, training and evaluation together, when the script does not separate them.
UNDIVIDED = "load_and_train"
# Any other time outside spans; for a script that reports nothing, all of it.
REST = "rest"
# An evaluation whose accuracy was not reported.
OTHER_EVAL = "other_eval"

# Who used the cores between two moments; None if that was not measured.
Usage = Callable[[float, float], Mapping[str, Any] | None]


@dataclass
class Piece:
    """A part of the time, in seconds since the command began."""

    name: str
    start_s: float
    end_s: float
    epoch: int | None = None


@dataclass
class _Open:
    name: str
    epoch: int | None


@dataclass
class ScriptTimeline:
    """Takes edges of spans and ends of epochs in order of time; `finish` gives the spans of the whole.

    Time in nested spans belongs to the innermost one.
    """

    pieces: list[Piece] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    epoch_ends_s: list[float] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    problems: Problems = field(default_factory=Problems)
    _open: list[_Open] = field(default_factory=list)
    now_s: float = 0.0
    _looked_from: int = 0

    @property
    def phase(self) -> str:
        """The span that is open now."""
        return self._open[-1].name if self._open else REST

    def start(self, name: str, at_s: float, epoch: int | None = None) -> None:
        self._cut(at_s)
        self.reported.add(name)
        self._open.append(_Open(name, epoch))

    def end(self, name: str, at_s: float) -> None:
        if all(span.name != name for span in self._open):
            self.problems.note(f"the span {name} ended without a start")
            return
        self._cut(at_s)
        while (span := self._open.pop()).name != name:
            self.problems.note(f"the span {span.name} was still open at the end of {name}, around it")

    def epoch(self, at_s: float, values: Mapping[str, Any]) -> None:
        """An epoch has ended; without a number in `values` it follows the last one."""
        last = self.epochs[-1]["epoch"] if self.epochs else 0
        self._cut(at_s)
        self.epochs.append({"epoch": last + 1, **values})
        self.epoch_ends_s.append(self.now_s)
        if values.get("accuracy") is None:
            return
        looks = self._looks_since_the_last_epoch()
        for extra in looks[:-1]:
            extra.name = OTHER_EVAL
        if not looks:
            self.pieces.append(Piece("eval", self.now_s, self.now_s))
        (looks[-1] if looks else self.pieces[-1]).epoch = self.epochs[-1]["epoch"]
        self._looked_from = len(self.pieces)

    def finish(self, exit_s: float) -> list[Piece]:
        """Every second from 0 to the exit, in order. Open spans end with the script."""
        self._cut(exit_s)
        self._open.clear()
        for extra in self._looks_since_the_last_epoch():
            extra.name = OTHER_EVAL
        # Already sorted: time never goes back here.
        ends_s = [end_s for end_s in dict.fromkeys(self.epoch_ends_s) if not math.isnan(end_s)]
        filled: list[Piece] = []
        for piece in self.pieces:
            filled += [*self._unsaid(filled[-1].end_s if filled else 0.0, piece.start_s, ends_s), piece]
        filled += self._unsaid(filled[-1].end_s if filled else 0.0, self.now_s, ends_s)
        self._clock_epochs(filled)
        return filled or [Piece(REST, 0.0, self.now_s)]

    def _clock_epochs(self, pieces: list[Piece]) -> None:
        """Give each epoch `train_s`, the time of training until its end; without a span for it, all the time."""
        counted = TRAIN if TRAIN in self.reported else UNDIVIDED
        taken_s = [piece.end_s - piece.start_s if piece.name == counted else 0.0 for piece in pieces]
        spent_s, piece_ends_s = list(itertools.accumulate(taken_s, initial=0.0)), [piece.end_s for piece in pieces]
        for row, end_s in zip(self.epochs, self.epoch_ends_s, strict=True):
            if not math.isnan(end_s):
                row.setdefault("train_s", spent_s[bisect.bisect_right(piece_ends_s, end_s)])

    def _unsaid(self, from_s: float, to_s: float, ends_s: list[float]) -> list[Piece]:
        """The time between two moments that no span covers, cut at the ends of epochs."""
        last_s = ends_s[-1] if ends_s and TRAIN not in self.reported else 0.0
        inside = ends_s[bisect.bisect_right(ends_s, from_s) : bisect.bisect_left(ends_s, to_s)]
        return [
            Piece(UNDIVIDED if end_s <= last_s else REST, start_s, end_s)
            for start_s, end_s in itertools.pairwise([from_s, *inside, to_s])
            if end_s > start_s
        ]

    @property
    def has_looks(self) -> bool:
        """Whether the times of the evaluations are known."""
        return any(piece.name in LOOKS for piece in self.pieces)

    def forget_epoch_times(self) -> None:
        """Forget when epochs ended, because they were reported too late."""
        self.pieces = [piece for piece in self.pieces if piece.end_s > piece.start_s]
        self.epoch_ends_s = [math.nan] * len(self.epoch_ends_s)

    def _looks_since_the_last_epoch(self) -> list[Piece]:
        return [piece for piece in self.pieces[self._looked_from :] if piece.name in LOOKS]

    def _cut(self, at_s: float) -> None:
        """Move to this moment and end the present piece of the innermost open span there."""
        at_s = max(at_s, self.now_s)
        if self._open and at_s > self.now_s:
            span = self._open[-1]
            self.pieces.append(Piece(span.name, self.now_s, at_s, span.epoch))
        self.now_s = at_s


def as_spans(pieces: list[Piece], usage: Usage = lambda _start_s, _end_s: None) -> list[dict[str, Any]]:
    """The pieces as a record holds them."""
    spans = []
    for piece in pieces:
        span: dict[str, Any] = {"name": piece.name, "start_s": piece.start_s, "end_s": piece.end_s}
        if piece.epoch is not None:
            span["epoch"] = piece.epoch
        if host := usage(piece.start_s, piece.end_s):
            span["host"] = dict(host)
        spans.append(span)
    return spans
