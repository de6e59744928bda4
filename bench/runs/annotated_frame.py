"""The frame of runs with what annotations say of them."""

from __future__ import annotations

import pandas as pd

from bench.runs.annotation import Annotations, Remarks, declared, joined
from bench.runs.run import INVALID

LABEL = "machine.label"
CHANGED = ("status", "reason", "tags", "notes", LABEL)


def annotated(frame: pd.DataFrame, said: Annotations) -> pd.DataFrame:
    """The same rows; one that was declared invalid has that status, and the reason."""
    positions = [position for position, run_id in enumerate(frame["run_id"]) if run_id in said]
    if not positions:
        return frame
    known = {name: frame[name].astype("string").tolist() for name in CHANGED if name in frame}
    columns: dict[str, list[str | None]] = {
        name: [None if pd.isna(value) else value for value in values] for name, values in known.items()
    }
    columns.setdefault(LABEL, [None] * len(frame))
    for position in positions:
        status, reason, tags, notes, label = (columns[name][position] for name in CHANGED)
        before = Remarks(None, tuple(tags.split(", ")) if tags else (), (notes,) if notes else (), label)
        after = said.added_to(before, frame["run_id"].iloc[position])
        if after.invalid:
            status, reason = INVALID, declared(after.invalid)
        row = (status, reason, joined(after.tags), joined(after.notes), after.machine_label)
        for name, value in zip(CHANGED, row, strict=True):
            columns[name][position] = value
    return frame.assign(**{name: pd.array(values, dtype="string") for name, values in columns.items()})
