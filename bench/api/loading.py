"""What `bench.load` does: recorded runs as data frames, without the imports that a measurement needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from bench.runs import frames
from bench.runs.frames import Frames


def load(
    paths: Iterable[Path | str] | None = None,
    results: Path | str = "results",
    run_ids: Collection[str] | None = None,
) -> Frames:
    """Every run in `paths` (files, or folders of `*.jsonl`), by default those in the folder `runs` of `results`.

    A leading `~` is the home folder. With `run_ids` these runs alone. A line that cannot be read is left out with a
    StoreWarning; a repeated run counts once. Raises StoreError for a path that does not exist. A results folder without
    runs gives empty frames.
    """
    files = None if paths is None else [Path(path).expanduser() for path in paths]
    return frames.load(files, Path(results).expanduser(), run_ids)
