"""Lines of JSON as lossless Arrow tables: a row for each run, or for each run and epoch."""

from __future__ import annotations

import json
from itertools import chain
from operator import itemgetter
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bench.runs import shape
from bench.runs.annotation import Annotation, is_annotation, joined
from bench.runs.columns import pack, pack_shared
from bench.runs.run import SCHEMA, RecordError, Run, Scalar
from bench.runs.shape import RecordedSpan

# The fields of a run that are columns, and their types in a frame.
FIELDS = {
    "run_id": "string",
    "started_at": "datetime64[us, UTC]",
    "recipe": "string",
    "cell": "string",
    "sweep": "string",
    "seed": "int64",
    "measure": "string",
    "status": "string",
    "reason": "string",
    "price_per_hour": "float64",
    "command": "string",
    "log": "string",
    "schema": "int64",
    "tags": "string",
    "notes": "string",
}
_ARROW = {"string": pa.large_string(), "int64": pa.int64(), "float64": pa.float64()}
# Nested parts of a run, which are often equal in many runs.
PARTS = ("config", "machine", "code", "data", "versions")
# Other columns are named by kind: `metric:accuracy`, `span:train`, `part:config`, `epoch:loss`.
METRIC, SPAN, PART, EPOCH = "metric:", "span:", "part:", "epoch:"
# The columns of the row's line number in its file, and of an annotation as it was written.
LINE, TEXT = "line", "text"


# A Run whose large parts stay JSON: runs share most of them, and the epochs have a table of their own.
_LazyRun: Any = msgspec.defstruct(
    "_LazyRun",
    [
        (
            field.name,
            shape.PARTS[field.name] if field.name in ("spans", "epochs")
            else msgspec.Raw if field.name in PARTS
            else field.type,
        )
        for field in msgspec.structs.fields(Run)
    ],
    forbid_unknown_fields=True,
    gc=False,
)  # fmt: skip


class RunReader:
    """A row for each run: its FIELDS, metrics, host seconds by name of span, and its PARTS as JSON text.

    A row for each annotation too, of which `without_annotations` frees the table.
    """

    kind = "runs"

    def __init__(self) -> None:
        self._decode_run = msgspec.json.Decoder(_LazyRun).decode
        self._decode_part = msgspec.json.Decoder(dict[str, Any]).decode
        self._texts: dict[tuple[str, bytes], str] = {}

    def decode(self, line: bytes) -> Any:
        """The run or the annotation on a line. Raises RecordError for anything else."""
        if is_annotation(line):
            return Annotation.from_json_line(line)
        try:
            run = self._decode_run(line)
            if run.schema != SCHEMA:
                return self._decode_slowly(line)
            shape.check_values(run.started_at, run.metrics)
            run.config = self._share("config", bytes(run.config))
            run.machine = self._share("machine", bytes(run.machine))
            run.code = self._share("code", bytes(run.code))
            run.data = self._share("data", bytes(run.data))
            run.versions = self._share("versions", bytes(run.versions))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._decode_slowly(line)
        run.epochs = None  # a msgspec.Raw would keep the whole line in memory
        run.spans = _totals(run.spans)
        return run

    def _decode_slowly(self, line: bytes) -> Any:
        """Decode lines that the fast way cannot: older schemas, numbers that are not finite, damage."""
        full = Run.from_json_line(line)
        try:
            run = _LazyRun(**{name: getattr(full, name) for name in full.__struct_fields__})
            run.spans = _totals(msgspec.convert(full.spans, list[RecordedSpan]))
        except msgspec.ValidationError as error:
            raise RecordError(f"not a run of schema {SCHEMA}: {error}") from None
        for part in PARTS:
            setattr(run, part, json.dumps(getattr(full, part)))
        run.epochs = None
        return run

    def _share(self, part: str, text: bytes) -> str:
        """One shared text for equal bytes, after checking that it is a JSON object of that part's shape."""
        try:
            return self._texts[part, text]
        except KeyError:
            self._decode_part(text)
            shape.check_text(part, text)
            return self._texts.setdefault((part, text), text.decode())

    def table(self, numbers: list[int], records: list[Any]) -> pa.Table:
        texts = [one.to_json_line() if isinstance(one, Annotation) else None for one in records]
        runs = [one if text is None else _NO_RUN for one, text in zip(records, texts, strict=True)]
        columns = {LINE: pa.array(numbers, pa.int64()), TEXT: pa.array(texts, pa.large_binary())}
        columns |= {name: _field([_cell(run, name) for run in runs], dtype) for name, dtype in FIELDS.items()}
        columns |= _columns([run.metrics for run in runs], METRIC)
        columns |= _columns([run.spans for run in runs], SPAN)
        columns |= {PART + part: pack_shared([_text(run, part) for run in runs]) for part in PARTS}
        return pa.table(columns)


class _Epochs(msgspec.Struct, gc=False):
    """The part of a line that the table of epochs needs; `non_finite` says that numbers are missing."""

    run_id: str
    schema: int
    epochs: msgspec.Raw
    non_finite: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class EpochReader:
    """A row for each run and epoch: the number of the run's line, the run's id, and the values of that epoch.

    It does not report lines without a valid run, because RunReader does; it may even give rows for them.
    """

    kind = "epochs"

    def __init__(self) -> None:
        self._decode_run = msgspec.json.Decoder(_Epochs).decode
        self._decode_epochs = msgspec.json.Decoder(list[dict[str, Scalar]]).decode

    def decode(self, line: bytes) -> tuple[str, list[dict[str, Scalar]]] | None:
        """The run's id and its epochs, None for an annotation. Raises RecordError for anything else."""
        if is_annotation(line):
            return None
        try:
            run = self._decode_run(line)
            if run.schema == SCHEMA and run.non_finite is msgspec.UNSET:
                return run.run_id, self._decode_epochs(run.epochs)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        full = Run.from_json_line(line)
        return full.run_id, full.epochs

    def table(self, numbers: list[int], records: list[Any]) -> pa.Table:
        counts = np.fromiter((len(epochs) for _, epochs in records), np.int64, len(records))
        columns = {
            LINE: pa.array(np.repeat(np.array(numbers, np.int64), counts)),
            "run_id": pa.array([run_id for run_id, _ in records], pa.large_string()).take(
                pa.array(np.repeat(np.arange(len(records)), counts))
            ),
        }
        rows = list(chain.from_iterable(epochs for _, epochs in records))
        return pa.table(columns | _columns(rows, EPOCH))


def without_annotations(table: pa.Table) -> tuple[pa.Table, list[Annotation]]:
    """The rows of runs in a table of RunReader, and the annotations among them."""
    is_run = pc.is_null(table[TEXT])
    said = table[TEXT].filter(pc.invert(is_run)).to_pylist()
    runs = table.filter(is_run) if said else table
    return runs.drop_columns([TEXT]), [Annotation.from_json_line(text) for text in said]


class _NoRun:
    """A row without a run, in the table of RunReader."""

    metrics: ClassVar[dict[str, Scalar]] = {}
    spans: ClassVar[dict[str, float]] = {}


_NO_RUN = _NoRun()


def _text(run: Any, part: str) -> str:
    return str(getattr(run, part, "{}"))


def _cell(run: Any, name: str) -> Any:
    """The value of a field, lists such as tags as one text."""
    value = getattr(run, name, None)
    return joined(value) if isinstance(value, list) else value


def _totals(spans: list[RecordedSpan]) -> dict[str, float]:
    """Seconds by name of span."""
    totals: dict[str, float] = {}
    for span in spans:
        name = span.name
        totals[name] = totals.get(name, 0.0) + (span.end_s - span.start_s)
    return totals


def _columns(rows: list[dict[str, Any]], prefix: str) -> dict[str, pa.Array]:
    """A column for each key, in order of appearance."""
    columns = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        try:
            values = list(map(itemgetter(name), rows))
        except KeyError:
            values = [row.get(name) for row in rows]
        columns[prefix + name] = pack(values)
    return columns


def _field(values: list[Any], dtype: str) -> pa.Array:
    if dtype.startswith("datetime"):
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601", errors="coerce")
        return pa.array(pd.DatetimeIndex(times).as_unit("us"), pa.timestamp("us", "UTC"))
    return pack(values) if values and dtype != "string" else pa.array(values, _ARROW[dtype])
