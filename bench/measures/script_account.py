"""What a script reveals of its inside: epochs, spans and figures from its lines and events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from bench.measures.epoch_lines import EpochLines
from bench.measures.script_events import Edge, Event, EventReader, Metrics
from bench.measures.script_timeline import TRAIN, Piece, ScriptTimeline
from bench.spec.epoch_pattern import EpochPattern

# In a run of at least this length, epochs that arrive together were held back in a buffer.
LEAST_S = 0.5
TOGETHER_SHARE = 0.5
# A script's figures cannot have names with these ends: in a record such metrics are yes or no.
_FLAGS = ("timed_out", "contended", "reached", "coarse")


class ScriptAccount:
    """Takes lines and events in order of their arrival, at moments of the monotonic clock; `began_s` is the start.

    Epochs come from the pattern or from events, whichever reported one first.
    """

    def __init__(self, pattern: EpochPattern | None, began_s: float) -> None:
        self.began_s = began_s
        self.timeline = ScriptTimeline()
        self.figures: dict[str, float | int] = {}
        self.told_by: Literal["pattern", "events"] | None = None
        self.remarks: list[str] = []
        self._matches = EpochLines(pattern) if pattern else None
        self._reader = EventReader(began_s)

    def take_lines(self, lines: Sequence[str], at_s: float) -> bool:
        """Take lines that arrived together; returns whether one of them ends an epoch."""
        found = self._matches.look(lines, at_s) if self._matches and self.told_by != "events" else []
        for line in found:
            self.told_by = "pattern"
            accuracy = {} if line.accuracy is None else {"accuracy": line.accuracy}
            self.timeline.epoch(line.at_s - self.began_s, line.values | accuracy)
        return bool(found)

    def take_bytes(self, data: bytes, at_s: float) -> list[Event]:
        """Take what the script wrote to BENCH_EVENTS; gives its events."""
        events = self._reader.feed(data, at_s)
        for event in events:
            self._take_event(event)
        return events

    def _take_event(self, event: Event) -> None:
        at_s = event.at_s - self.began_s
        if isinstance(event, Edge):
            if event.starts:
                self.timeline.start(event.name, at_s, event.epoch)
            else:
                self.timeline.end(event.name, at_s)
        elif isinstance(event, Metrics):
            self.figures |= event.values
        elif self.told_by != "pattern":
            self.told_by = "events"
            self.timeline.epoch(at_s, event.values)

    @property
    def accuracy(self) -> float | None:
        """The last epoch's accuracy, judged by the lines so far."""
        if self.told_by == "pattern" and self._matches is not None:
            return self._matches.latest
        return self.timeline.epochs[-1].get("accuracy") if self.timeline.epochs else None

    def finish(self, ended_s: float) -> list[Piece]:
        """The pieces of the whole time, once all was taken; then `epochs`, `remarks` and the timeline are complete.

        Raises ValueError if percent cannot be told from fractions.
        """
        for event in self._reader.finish(ended_s):
            self._take_event(event)
        took_s = ended_s - self.began_s
        self.remarks += [*self.timeline.problems, *filter(None, (self._reader.remark,))]
        if self._matches:
            self.remarks += self._matches.problems
        if self._arrived_together(took_s):
            self.timeline.forget_epoch_times()
            self.remarks.append(
                "its epochs arrived together, because its output is buffered, so it is unknown when they ended; "
                "print with flush=True, or send events"
            )
        for row, accuracy in zip(self.timeline.epochs, self._accuracies(), strict=True):
            if accuracy is not None:
                row["accuracy"] = accuracy
        return self.timeline.finish(took_s)

    @property
    def scale(self) -> str | None:
        """How percent was told from fractions; None if there was nothing to tell or it is unclear."""
        if self.told_by != "pattern" or self._matches is None:
            return None
        try:
            return self._matches.accuracies()[1]
        except ValueError:
            return None

    @property
    def failure(self) -> str | None:
        """Why lines or events were ignored; None if none were."""
        return (self._matches.gave_up if self._matches else None) or self._reader.failure

    @property
    def reported(self) -> list[str]:
        """What a rule book may ask for: the names of spans, and `epochs` where it is known when they ended."""
        return sorted(self.timeline.reported) + (["epochs"] if self.timeline.has_looks else [])

    def metrics(self, target: float | None) -> dict[str, Any]:
        """The figures of the run. Call `finish` before."""
        rows, timeline = self.timeline.epochs, self.timeline
        known = [
            (end_s, row["accuracy"])
            for end_s, row in zip(timeline.epoch_ends_s, rows, strict=True)
            if "accuracy" in row
        ]
        given = {name: value for name, value in self.figures.items() if not name.endswith(_FLAGS)}
        accuracy = known[-1][1] if known else given.pop("accuracy", None)
        reached_s = next((end_s for end_s, one in known if target is not None and one >= target), None)
        train_s = math.fsum(piece.end_s - piece.start_s for piece in timeline.pieces if piece.name == TRAIN)
        told = {
            "accuracy": accuracy,
            "target_accuracy": target,
            "reached": None if target is None or accuracy is None else bool(accuracy >= target),
            "epochs": len({row["epoch"] for row in rows}) or None,
            "loss": rows[-1].get("loss") if rows else None,
            "train_s": train_s or None,
            "time_to_target_s": reached_s if timeline.has_looks else None,
        }
        return given | {name: value for name, value in told.items() if value is not None}

    def _accuracies(self) -> list[float | None]:
        if self.told_by == "pattern" and self._matches is not None:
            return self._matches.accuracies()[0]
        return [row.get("accuracy") for row in self.timeline.epochs]

    def _arrived_together(self, took_s: float) -> bool:
        """Whether most epochs arrived at the same moments as others."""
        ends_s = self.timeline.epoch_ends_s
        several = self.told_by == "pattern" and len(ends_s) > 1 and took_s >= LEAST_S
        return several and len(set(ends_s)) <= TOGETHER_SHARE * len(ends_s)
