"""What somebody says of a run after it was recorded: a line of its own in the store. A record is never edited."""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.runs.run import INVALID, RecordError, Run

SCHEMA = 1
# What the reasons of invalid runs begin with.
DECLARED = "declared invalid: "
# How such a line begins; `annotates` is the first of its keys in the order of the alphabet too.
_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"annotates"\s*:')


class Annotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`annotates` is the run's id; `id` sorts by time, as those of runs do.

    `invalid` is the reason why the run does not count, and `valid` takes such a word back. `tags` are added, `untag`
    removed. `machine_label` is what tables call the machine.
    """

    annotates: str
    id: str
    schema: int
    invalid: str | None = None
    valid: bool = False
    tags: list[str] = []
    untag: list[str] = []
    note: str | None = None
    machine_label: str | None = None

    @classmethod
    def from_json_line(cls, line: bytes) -> Annotation:
        """Raises RecordError for a line that is none, or is of a newer version."""
        line = line.removeprefix(codecs.BOM_UTF8)
        try:
            schema = msgspec.json.decode(line, type=dict[str, Any]).get("schema")
            if type(schema) is int and schema > SCHEMA:
                raise RecordError(f"written by a newer version: an annotation of schema {schema}; upgrade to read it")
            return msgspec.json.decode(line, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(f"not an annotation: {error}") from None

    def to_json_line(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"


def is_annotation(line: bytes) -> bool:
    return _HEAD.match(line) is not None


@dataclass(frozen=True)
class Remarks:
    """What is said of a run: why it does not count, tags, notes, and the name of its machine."""

    invalid: str | None = None
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    machine_label: str | None = None

    def and_then(self, annotation: Annotation) -> Remarks:
        """These remarks after an annotation; the last word on validity and on the machine's name counts."""
        tags = dict.fromkeys([*self.tags, *annotation.tags])
        return Remarks(
            None if annotation.valid else annotation.invalid or self.invalid,
            tuple(tag for tag in tags if tag not in annotation.untag),
            tuple(dict.fromkeys([*self.notes, *([annotation.note] if annotation.note else [])])),
            annotation.machine_label or self.machine_label,
        )


class Annotations:
    """Annotations by the run that they are of, in order of time; each counts once."""

    def __init__(self, annotations: Iterable[Annotation]) -> None:
        self._of: dict[str, list[Annotation]] = defaultdict(list)
        for one in sorted({one.id: one for one in annotations}.values(), key=lambda one: one.id):
            self._of[one.annotates].append(one)

    def __bool__(self) -> bool:
        return bool(self._of)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._of

    def added_to(self, remarks: Remarks, run_id: str) -> Remarks:
        """What a record itself says of its run, and what was said of it later."""
        for one in self._of.get(run_id, ()):
            remarks = remarks.and_then(one)
        return remarks

    def on(self, run: Run) -> Run:
        """The run with what was said of it. One that was declared invalid has that status, and the reason."""
        if run.run_id not in self:
            return run
        label = run.machine.get("label")
        said = self.added_to(Remarks(None, tuple(run.tags), tuple(run.notes), label), run.run_id)
        invalid = {"status": INVALID, "reason": declared(said.invalid)} if said.invalid else {}
        machine = run.machine | ({"label": said.machine_label} if said.machine_label else {})
        return msgspec.structs.replace(run, tags=list(said.tags), notes=list(said.notes), machine=machine, **invalid)


def declared(reason: str) -> str:
    """The reason of an invalid run as tables show it."""
    return f"{DECLARED}{reason}"


def joined(texts: Sequence[str]) -> str | None:
    """Tags or notes in one cell of a table; None if there are none."""
    return ", ".join(texts) or None
