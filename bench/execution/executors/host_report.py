"""What comes back from a host when a run has ended there: what was measured, its log and its pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.execution.measured import Measured, Refused

# As much of a log's end comes back, and so much of the newest pictures.
MOST_LOG_BYTES = 4 << 20
MOST_PICTURE_BYTES = 64 << 20


@dataclass(frozen=True)
class HostReport:
    """How a run on a host ended: what was measured or why it was refused, its log, its pictures by the names of their
    files, and when it began."""

    measured: Measured
    refusal: tuple[str, int] | None = None
    log: bytes = b""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    # Why the host did not begin the run, which another one may, and the name by which its engine can leave it out.
    unfit: tuple[str, str] | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def result(self, log: Path) -> Measured:
        """What was measured, with the log and the pictures at their places here; the run's id is the name of `log`.

        Raises Refused if the host refused the run.
        """
        with suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(self.log)
        if self.refusal is not None:
            raise Refused(*self.refusal, self.measured.facts)
        self._keep_pictures(log.parent.parent / log.stem)
        self.measured.facts["attempt"] = {"started_at": self.started_at}
        return self.measured

    def _keep_pictures(self, folder: Path) -> None:
        """Write the pictures, and let the record name no others."""
        with suppress(OSError):
            for name, content in self.pictures.items():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        resolved = self.measured.facts.get("resolved", {})
        if "pictures" in resolved:
            resolved["pictures"] = [one for one in resolved["pictures"] if Path(one["file"]).name in self.pictures]


def end_of(log: Path) -> bytes:
    """As much of a log as comes back; empty if there is none."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST_LOG_BYTES))
            return file.read()
    except OSError:
        return b""


def pictures_in(folder: Path) -> dict[str, bytes]:
    """The newest pictures by name, as many as come back; empty if there is no such folder."""
    found: dict[str, bytes] = {}
    left_bytes = MOST_PICTURE_BYTES
    with suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True):
            left_bytes -= path.stat().st_size
            if left_bytes < 0:
                break
            found[path.name] = path.read_bytes()
    return found
