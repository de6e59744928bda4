"""The TSV file of a DAWNBench training entry: a row for each epoch."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from bench.exchange.entry import TARGET_PERCENT, EntryRow

HEADER = ("epoch", "hours", "top1Accuracy")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)

# A place is `:LINE`, or empty for the whole file.
Note = tuple[str, str]


def read_rows(text: str) -> tuple[tuple[EntryRow, ...], list[Note], list[Note]]:
    """The rows, the errors and the warnings.

    Errors make the result doubtful: another header, values that are not numbers, time or epochs that do not increase,
    accuracies outside 0 to 100 or given as fractions, and no row at the target.
    """
    errors: list[Note] = []
    warnings: list[Note] = []
    lines = text.split("\n")
    if any(line.endswith("\r") for line in lines):
        warnings.append((":1", "lines end in CR LF; LF alone is usual"))
        lines = [line.removesuffix("\r") for line in lines]
    while lines and not lines[-1].strip():
        lines.pop()
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        return (), [("", f"the file is empty; it begins with the line {_header_shown()}")], warnings
    if len(filled) < len(lines):
        warnings.append(("", f"{len(lines) - len(filled)} blank lines were left out"))
    number, header = filled[0]
    if tuple(header.split("\t")) != HEADER:
        errors.append((f":{number}", f"the header is {header!r}; allowed: {_header_shown()}, separated by tabs"))
    numbered: list[tuple[int, EntryRow]] = []
    for number, line in filled[1:]:
        values = _values(number, line, errors)
        if values is not None:
            numbered.append((number, EntryRow(*values)))
    _check_order(numbered, errors, warnings)
    _check_accuracies(numbered, errors)
    return tuple(row for _, row in numbered), errors, warnings


def write_rows(rows: Sequence[EntryRow]) -> str:
    """The file's text; every number reads back unchanged."""
    lines = [HEADER, *((_text(row.epoch), repr(row.hours), repr(row.top1_percent)) for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def _values(number: int, line: str, errors: list[Note]) -> list[float] | None:
    fields = line.split("\t")
    if len(fields) != len(HEADER):
        errors.append((f":{number}", f"has {len(fields)} fields; allowed: {len(HEADER)}, separated by tabs"))
        return None
    values = []
    for name, field in zip(HEADER, fields, strict=True):
        value = float(field) if _NUMBER.fullmatch(field.strip()) else math.nan
        if not math.isfinite(value):
            errors.append((f":{number}", f"{name} is {field!r}; allowed: a number such as 0.25"))
            return None
        values.append(value)
    return values


def _check_order(numbered: list[tuple[int, EntryRow]], errors: list[Note], warnings: list[Note]) -> None:
    for number, row in numbered[:1]:
        if row.epoch < 0 or row.hours <= 0:
            errors.append((f":{number}", "the first epoch is 0 or more, and its hours are more than 0"))
        if row.epoch >= 2:
            warnings.append((f":{number}", f"the first row is of epoch {row.epoch:g}; a row for each epoch is usual"))
    for (_, before), (number, row) in itertools.pairwise(numbered):
        if row.epoch <= before.epoch:
            errors.append((f":{number}", f"epoch {row.epoch:g} follows {before.epoch:g}; allowed: a larger one"))
        elif row.epoch - before.epoch >= 2:
            warnings.append((f":{number}", f"epoch {row.epoch:g} follows {before.epoch:g}; a row for each is usual"))
        if row.hours <= before.hours:
            errors.append((f":{number}", f"hours {row.hours:g} follow {before.hours:g}; hours are cumulative"))


def _check_accuracies(numbered: list[tuple[int, EntryRow]], errors: list[Note]) -> None:
    if not numbered:
        errors.append(("", "there is no row that can be read; allowed: a row for each epoch"))
        return
    outside = [(number, row) for number, row in numbered if not 0 <= row.top1_percent <= 100]
    for number, row in outside:
        errors.append((f":{number}", f"top1Accuracy is {row.top1_percent:g}; allowed: percent, 0 to 100"))
    number, best = max(numbered, key=lambda pair: pair[1].top1_percent)
    if best.top1_percent <= 1:
        errors.append(("", f"top1Accuracy is never above {best.top1_percent:g}; write percent: 94.1, not 0.941"))
    elif best.top1_percent < TARGET_PERCENT:
        errors.append((f":{number}", f"the best top1Accuracy is {best.top1_percent:g}; {TARGET_PERCENT:g} is needed"))


def _header_shown() -> str:
    return ", ".join(HEADER)


def _text(epoch: float) -> str:
    return str(int(epoch)) if epoch.is_integer() else repr(epoch)
