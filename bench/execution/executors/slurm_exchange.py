"""The files by which a job of Slurm and its driver talk, since either may outlive the other."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.execution.measured import Event, Measured
from bench.files import replacing

EVENTS = "events.jsonl"
# Said whenever the job begins, because Slurm may begin the same job several times.
START: Event = {"kind": "phase", "name": "start", "spans": []}


@dataclass(frozen=True)
class Exchange:
    """The folder of one run, which its driver and all of its hosts see."""

    folder: Path

    def tell(self, event: Event) -> None:
        """Add a message for the driver."""
        with open(self.folder / EVENTS, "a", encoding="utf-8") as file:
            file.write(json.dumps(event, default=str) + "\n")

    def told(self, from_byte: int = 0) -> tuple[list[Event], int]:
        """The messages from a byte on, and the byte after the last whole one."""
        try:
            with open(self.folder / EVENTS, "rb") as file:
                file.seek(from_byte)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return [], from_byte
        return [json.loads(line) for line in whole.splitlines()], from_byte + len(whole) + len(newline)

    def parts(self) -> list[Measured]:
        """What has been seen of the run each time that the job began."""
        found: list[Measured] = []
        for event in self.told()[0]:
            if event == START:
                found.append(Measured())
            if found and event["kind"] != "refused":
                found[-1].take(event)
        return found

    @property
    def has_begun(self) -> bool:
        """Whether the job has left anything yet."""
        return bool(self.told()[0]) or self.find("outcome-0") is not None

    def beat(self) -> None:
        """Show that the run is alive."""
        (self.folder / EVENTS).touch()

    def count(self) -> int:
        """How often the user has pressed Ctrl-C, by the driver."""
        try:
            return int((self.folder / "count").read_text())
        except (OSError, ValueError):
            return 0

    def set_count(self, count: int) -> None:
        with replacing(self.folder / "count") as draft:
            draft.write_text(str(count))

    def meet(self, part: str, endpoint: str | None = None) -> str | None:
        """Where the ranks of one part of a run meet, once its first host has said so."""
        place = self.folder / f"meeting-{part}"
        if endpoint is not None:
            with replacing(place) as draft:
                draft.write_text(endpoint)
        return place.read_text() if place.exists() else None

    def keep(self, name: str, value: Any) -> None:
        """Leave an object for the other side, whole or not at all."""
        with replacing(self.folder / f"{name}.pkl") as draft:
            draft.write_bytes(pickle.dumps(value))

    def find(self, name: str) -> Any:
        """What was left under this name; None if there is nothing."""
        try:
            return pickle.loads((self.folder / f"{name}.pkl").read_bytes())
        except FileNotFoundError:
            return None

    def found(self, pattern: str) -> list[Any]:
        """All that was left under such names, in their order."""
        return [self.find(path.stem) for path in sorted(self.folder.glob(f"{pattern}.pkl"))]

    def forget(self, name: str) -> None:
        (self.folder / f"{name}.pkl").unlink(missing_ok=True)
