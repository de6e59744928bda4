"""Copying runs from stores to another file, as the lines that they are, with what was said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from bench.files import replacing
from bench.runs.line import StoreLine
from bench.runs.store import StoreError, each_record


def copy_runs(files: Iterable[Path], run_ids: Collection[str], to: Path) -> int:
    """Write the runs and their annotations, each once, in the order of the files; the number of annotations.

    A file that is there is replaced. Raises StoreError if it cannot be written.
    """
    wanted = frozenset(run_ids)
    lines: dict[str, StoreLine] = {}
    for file in list(files):
        for line in each_record(file, StoreLine.read):
            if line.run_id in wanted:
                lines.setdefault(line.id, line)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with replacing(to) as draft:
            draft.write_bytes(b"".join(line.text for line in lines.values()))
    except OSError as error:
        raise StoreError(f"cannot export to {to}: {error.strerror or error}; name another file") from None
    return sum(line.is_annotation for line in lines.values())
