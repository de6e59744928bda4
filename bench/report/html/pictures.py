"""The sample pictures that runs kept: grids of what a network made, and pairs of before and after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report.charts.epochs import quality_name
from bench.report.html.cells import CellPage
from bench.runs.run import Run
from bench.text import units

# Of each kind of picture of a run: the first and the last, and some between them.
MOST_EPOCHS = 4
MOST_BYTES = 4 << 20
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class SamplePicture:
    """A picture of a run: `path` is its place in the report."""

    path: str
    content: bytes
    caption: str


@dataclass(frozen=True)
class Gallery:
    """The pictures of one kind of a run, by epoch."""

    name: str
    pictures: tuple[SamplePicture, ...]


def galleries(cell: CellPage, results: Path | None) -> list[Gallery]:
    """The pictures of the newest run of a cell that has some and whose files are below `results`."""
    if results is None:
        return []
    for run in sorted(cell.runs, key=lambda run: run.run_id, reverse=True):
        if found := _of_run(run, results, cell.page):
            return found
    return []


def _of_run(run: Run, results: Path, stem: str) -> list[Gallery]:
    kept = units.get(run.config, "resolved", "pictures")
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in kept if isinstance(kept, list) else []:
        if isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("name", "file")):
            kinds[entry["name"]].append(entry)
    found = []
    for number, (name, entries) in enumerate(kinds.items(), 1):
        pictures = [
            SamplePicture(f"pictures/{stem}-{number}-{place}.png", content, _caption(run, entry))
            for place, entry in enumerate(_spread(entries), 1)
            if (content := _read(results, entry["file"])) is not None
        ]
        if pictures:
            found.append(Gallery(name.replace("_", " "), tuple(pictures)))
    return found


def _spread(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most MOST_EPOCHS of them, evenly, with the first and the last."""
    last = len(entries) - 1
    steps = min(MOST_EPOCHS, len(entries)) - 1
    return [entries[round(last * step / steps)] for step in range(steps + 1)] if steps else list(entries)


def _caption(run: Run, entry: dict[str, Any]) -> str:
    """`after epoch 5, frechet distance 41.2`."""
    epoch, quality = entry.get("epoch"), quality_name(run)
    row = next((row for row in run.epochs if row.get("epoch") == epoch), {})
    value = row.get(quality) if quality is not None else None
    told = f", {quality.replace('_', ' ')} {value:.4g}" if quality and isinstance(value, int | float) else ""
    return f"after epoch {epoch}{told}"


def _read(results: Path, file: str) -> bytes | None:
    """A PNG inside the folder of results; a record may come from anybody and name any file."""
    try:
        path = (results / file).resolve()
        if not path.is_relative_to(results.resolve()) or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    return content if content.startswith(PNG) else None
