"""Live progress of a run: a few redrawn lines on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.text import units

PHASES = {
    "import": "importing",
    "device": "starting the device",
    "data": "loading data",
    "build": "building the network",
    "init": "initialising",
    "compile": "compiling",
    "warm_up": "warming up",
    "train": "training",
    "eval": "evaluating",
    "final_eval": "final evaluation",
    "checkpoint": "writing a checkpoint",
    "exact_index": "building the exact index",
    "approximate_index": "building the approximate index",
    "measure": "measuring",
    "rest": "running",
}
RATE_WINDOW_S = 20.0
PLAIN_EVERY_S = 30.0
# The longest shown part of a line that a script printed.
MOST_LINE_CHARS = 60


class Progress:
    """Follows the messages of one run; `render` shows its present state."""

    def __init__(
        self,
        title: str,
        target: float | None,
        price_per_hour: float | None,
        origin_s: float,
        expected_s: float | None = None,
    ) -> None:
        """`expected_s`, where it is known, says how far a run is that tells of no steps."""
        self.title, self.target, self.price_per_hour, self.origin_s = title, target, price_per_hour, origin_s
        self.expected_s = expected_s
        self.phase = "starting"
        self.epoch = self.step = self.total_steps = self.examples = 0
        self.loss: float | None = None
        self.accuracy: float | None = None
        self.note = ""
        # (seconds, examples, steps) while training; evaluations are cut out by restarting the window.
        self._window: deque[tuple[float, int, int]] = deque()

    def take(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "phase":
            self.phase, self.note = PHASES.get(event["name"], event["name"]), ""
            self._window.clear()
        elif kind == "download":
            total = event["total_bytes"]
            self.note = f"{event['what']} {units.size(event['done_bytes'])}" + (
                f" of {units.size(total)}" if total else ""
            )
        elif kind == "stopping":
            self.note = "stopping; Ctrl-C again stops at once"
        elif kind == "line":
            self.note = event["text"][:MOST_LINE_CHARS]
        elif kind in ("step", "epoch"):
            self.epoch = event["epoch"]
            self.loss = event["loss"] if event["loss"] is not None else self.loss
            if event.get("accuracy") is not None:
                self.accuracy = event["accuracy"]
            self.examples = event["examples"]
            if kind == "epoch":
                self.step = event["steps"]
            else:
                self.step, self.total_steps = event["step"], event["total_steps"]
                self._window.append((time.monotonic(), self.examples, self.step))
                while len(self._window) > 2 and self._window[-1][0] - self._window[0][0] > RATE_WINDOW_S:
                    self._window.popleft()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.origin_s

    @property
    def samples_per_s(self) -> float | None:
        """Over the last few seconds of training."""
        if len(self._window) < 2:
            return None
        (start_s, before, _), (end_s, after, _) = self._window[0], self._window[-1]
        return (after - before) / (end_s - start_s) if end_s > start_s else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the last step at the present pace, without evaluations."""
        if not self.total_steps and self.expected_s is not None:
            return max(0.0, self.expected_s - self.elapsed_s)
        if not self.step or not self.total_steps or len(self._window) < 2:
            return None
        (start_s, _, before), (end_s, _, after) = self._window[0], self._window[-1]
        return (end_s - start_s) / (after - before) * (self.total_steps - after) if after > before else None

    def facts(self) -> list[tuple[str, str]]:
        """Labels and values of everything known so far."""
        facts = [("elapsed", units.duration(self.elapsed_s))]
        if self.total_steps:
            facts.append(("epoch", str(self.epoch)))
            facts.append(("step", f"{self.step}/{self.total_steps}"))
        elif self.epoch:
            facts.append(("epoch", str(self.epoch)))
        if self.samples_per_s:
            facts.append(("samples", units.rate(self.samples_per_s)))
        if self.loss is not None:
            facts.append(("loss", f"{self.loss:.3f}"))
        if self.accuracy is not None:
            facts.append(("accuracy", units.percent(self.accuracy)))
        if self.target is not None:
            facts.append(("target", units.percent(self.target)))
        if self.price_per_hour is not None:
            facts.append(("cost", units.dollars(self.price_per_hour * self.elapsed_s / 3600)))
        if self.left_s is not None:
            facts.append(("left", units.duration(self.left_s)))
        return facts

    def line(self) -> str:
        """The facts on one plain line."""
        facts = "  ".join(f"{label} {value}" for label, value in self.facts())
        return f"{self.title}: {self.phase}{f' ({self.note})' if self.note else ''}  {facts}"

    def __rich__(self) -> Table:
        lines = Table.grid()
        lines.add_row(Text.assemble((self.title, "bold"), "  ", (self.phase, "cyan"), f"  {self.note}"))
        if self.total_steps or self.expected_s is None:
            lines.add_row(ProgressBar(total=max(self.total_steps, 1), completed=self.step, width=60))
        else:
            lines.add_row(ProgressBar(total=self.expected_s, completed=min(self.elapsed_s, self.expected_s), width=60))
        lines.add_row(Text("  ".join(f"{label} {value}" for label, value in self.facts())))
        return lines


class LiveView:
    """Redraws a progress in place; for terminals."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._progress = progress
        self._live = Live(progress, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        self._progress.take(event)


class PlainView:
    """Prints a line at the start of each phase, at each epoch and every half minute; for logs and pipes."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._next_s = 0.0
        self._seen: set[str] = set()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: dict[str, Any]) -> None:
        self._progress.take(event)
        news = event["kind"] in ("epoch", "stopping") or self._progress.phase not in self._seen
        if news or time.monotonic() >= self._next_s:
            self._seen.add(self._progress.phase)
            self._next_s = time.monotonic() + PLAIN_EVERY_S
            self._console.print(self._progress.line(), highlight=False, markup=False, soft_wrap=True)


def view(console: Console, progress: Progress) -> LiveView | PlainView:
    """The view for this kind of output."""
    return LiveView(console, progress) if console.is_terminal else PlainView(console, progress)
