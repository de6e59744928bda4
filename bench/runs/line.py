"""A line of a store, a run or an annotation, as bytes that are copied unchanged."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from dataclasses import dataclass

from bench.runs.annotation import Annotation, is_annotation
from bench.runs.plausible import impossible
from bench.runs.run import Run
from bench.runs.store import head_of


@dataclass(frozen=True)
class StoreLine:
    """`id` is that of the run or of the annotation, and `text` ends with a newline.

    `run_id` is that of the run, or of the one that the annotation is of. `impossible` names an impossible number.
    """

    id: str
    run_id: str
    text: bytes
    is_annotation: bool = False
    impossible: str | None = None

    @classmethod
    def read(cls, line: bytes, wanted: Collection[str] | None = None) -> StoreLine | None:
        """The line, or None if its id is not wanted. Raises RecordError for anything else."""
        text = line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n") + b"\n"
        if is_annotation(line):
            said = Annotation.from_json_line(line)
            made = cls(said.id, said.annotates, text, True)
            return made if wanted is None or said.id in wanted else None
        head = head_of(line) if wanted is not None else None
        if wanted is not None and head is not None and head[0] not in wanted:
            return None
        run = Run.from_json_line(line)
        return cls(run.run_id, run.run_id, text, False, next(impossible(run), None))

    def is_same(self, other: StoreLine) -> bool:
        # Finally compared as text, because a NaN differs from itself.
        return self.text == other.text or self._canonical() == other._canonical()

    def _canonical(self) -> bytes:
        kind = Annotation if self.is_annotation else Run
        return kind.from_json_line(self.text).to_json_line()
