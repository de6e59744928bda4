"""Named spans of a run, on the host's clock and, on a GPU, by events on its stream.

The clock only measures; rule books decide which spans count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench.host.contention import Sampler


class TimedDevice(Protocol):
    """What a clock asks of a device."""

    def synchronize(self) -> None:
        """Wait until the device has done all work given to it."""

    def event(self) -> Any:
        """A recorded timing event, or None if there is only the host's clock."""


class HostTimeline:
    """A device that does its work before it returns."""

    def synchronize(self) -> None:
        pass

    def event(self) -> Any:
        return None


@dataclass(frozen=True)
class Span:
    """One phase; seconds since the clock's origin, `device_s` by device events where there are any.

    If several ranks took part, the times are those of the slowest, and `rank_s` has the host seconds of each. `host`
    says what else the machine did meanwhile (`bench.host.contention.Usage`); it is None if that was not measured.
    """

    name: str
    start_s: float
    end_s: float
    epoch: int | None = None
    device_s: float | None = None
    rank_s: tuple[float, ...] | None = None
    host: dict[str, Any] | None = None

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class Clock:
    """Spans since `origin_s`, a reading of `now` (by default the moment the clock is made).

    `now` is `time.monotonic`, which on Linux and macOS is one clock for all processes, so that a worker's spans can
    start when its parent's command did. `agree` turns this process's span into the one to record; it is called after
    each body that raised nothing. `sampler` reads the machine's counters just before and just after each body, outside
    the timed part.
    """

    def __init__(
        self,
        origin_s: float | None = None,
        timeline: TimedDevice | None = None,
        now: Callable[[], float] = time.monotonic,
        entered: Callable[[str], None] = lambda _: None,
        sampler: Sampler | None = None,
    ) -> None:
        self._now = now
        self.origin_s = now() if origin_s is None else origin_s
        self.timeline: TimedDevice = timeline or HostTimeline()
        self.spans: list[Span] = []
        self.entered = entered
        self.sampler = sampler
        self.agree: Callable[[Span], Span] = lambda span: span

    def elapsed_s(self) -> float:
        return self._now() - self.origin_s

    def add(self, name: str, start_s: float, end_s: float) -> None:
        """A span that was measured elsewhere, such as the imports before this clock existed."""
        self.spans.append(Span(name, start_s, end_s))

    @contextmanager
    def span(self, name: str, epoch: int | None = None) -> Iterator[None]:
        """Time the body; the device's queue is empty at both ends, so that no work leaks between spans."""
        self.entered(name)
        self.timeline.synchronize()
        before = self.sampler.read_lately() if self.sampler else None
        start_s, start_event = self.elapsed_s(), self.timeline.event()
        agree = False
        try:
            yield
            agree = True
        finally:
            end_event = self.timeline.event()
            self.timeline.synchronize()
            end_s = self.elapsed_s()
            device_s = start_event.elapsed_time(end_event) / 1000 if start_event is not None else None
            host = self.sampler.since(before).to_dict() if self.sampler and before else None
            span = Span(name, start_s, end_s, epoch, device_s, host=host)
            # The other ranks would wait forever for a failed one.
            self.spans.append(self.agree(span) if agree else span)

    def total_s(self, name: str) -> float:
        """Host seconds in all spans of that name."""
        return sum(span.duration_s for span in self.spans if span.name == name)
