"""Published results as facts with their source, one CSV row each, that people extend by a pull request.

The files are `results/records/*.csv`. A cell stays empty if the source does not say.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from bench.errors import UsageError
from bench.files import PACKAGE
from bench.scores.rules import RULES, rules_for

RECORDS = PACKAGE / "records"
# Costs and the figures they are computed from are rounded to micro-dollars.
COST_TOLERANCE = 0.01

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
PartialDate = Annotated[str, StringConstraints(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]


class PublishedResult(BaseModel):
    """One published result; the fields are the columns, in their order.

    `date` is yyyy, yyyy-mm or yyyy-mm-dd; `devices` counts accelerators, 0 on a CPU alone; accuracies are fractions.
    `accuracy_kind` says what `accuracy` is: the `mean` of `n` runs after a fixed number of epochs, the accuracy of the
    `first` epoch at the target in one run, or that of a `single` network; with `share` there is none, because the
    source gives the share of runs at the target (`reached` of `n`). `cost_usd` is for the training, or for one image.
    `rule` is the rule book whose clock was used, empty for another clock; `clock` describes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    task: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+/(train|inference)$")]
    system: Text
    author: Text | None = None
    date: PartialDate | None = None
    hardware: Text
    devices: Annotated[int, Field(ge=0)] | None = None
    framework: Text | None = None
    precision: Text | None = None
    epochs: Positive | None = None
    target_accuracy: Fraction | None = None
    time_s: Positive | None = None
    latency_ms: Positive | None = None
    accuracy: Fraction | None = None
    accuracy_std: Fraction | None = None
    accuracy_kind: Literal["mean", "first", "share", "single"] | None = None
    n: Count | None = None
    reached: Annotated[int, Field(ge=0)] | None = None
    cost_usd: Positive | None = None
    price_per_hour: Positive | None = None
    rule: Text | None = None
    clock: Text | None = None
    source: Url
    note: Text | None = None

    @field_validator("date")
    @classmethod
    def _is_in_the_calendar(cls, value: str | None) -> str | None:
        if value is not None and len(value) == len("yyyy-mm-dd"):
            datetime.date.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        measured, figure = ("latency_ms", self.latency_ms), ("time_s", self.time_s)
        needed, other = (measured, figure) if self.task.endswith("/inference") else (figure, measured)
        if needed[1] is None or other[1] is not None:
            raise ValueError(f"{needed[0]}: {self.task} has this, and no {other[0]}")
        if self.rule is not None and self.rule not in RULES:
            raise ValueError(f"rule: there is no rule book {self.rule!r}; there are: {', '.join(RULES)}, or nothing")
        measure = "inference" if self.task.endswith("/inference") else "time_to_accuracy"
        if self.rule is not None and self.rule not in (names := [book.name for book in rules_for(measure)]):
            raise ValueError(f"rule: {self.rule} does not score {self.task}; who does: {', '.join(names)}, or nothing")
        if self.rule is not None and not self.target_accuracy:
            raise ValueError(f"target_accuracy: is empty, and without it no board of {self.rule} has the record")
        if (self.accuracy_kind == "share") != (self.reached is not None):
            raise ValueError("reached: stands where accuracy_kind is share, and nowhere else")
        if self.reached is not None and (self.n is None or self.reached > self.n):
            raise ValueError(f"reached: {self.reached} of n = {self.n} runs")
        if self.time_s and self.price_per_hour and self.cost_usd:
            cost_usd = self.time_s / 3600 * self.price_per_hour
            if abs(self.cost_usd - cost_usd) > COST_TOLERANCE * cost_usd:
                raise ValueError(f"cost_usd: {self.cost_usd:g}, but time_s and price_per_hour make {cost_usd:.4g}")
        return self


COLUMNS = tuple(PublishedResult.model_fields)


def load_records(paths: Iterable[Path] | None = None) -> list[PublishedResult]:
    """The rows of these files, by default of all in `results/records`, in their order.

    Raises UsageError with a line for each mistake: file, line, column, and what is allowed.
    """
    errors: list[str] = []
    records: list[PublishedResult] = []
    seen: dict[str, str] = {}
    for path in sorted(RECORDS.glob("*.csv")) if paths is None else paths:
        for line, row in _rows(path, errors):
            try:
                record = PublishedResult.model_validate(row)
            except ValidationError as error:
                errors += [f"{path}:{line}: {_told(detail)}" for detail in error.errors()]
                continue
            if record.id in seen:
                errors.append(f"{path}:{line}: id: {record.id!r} stands at {seen[record.id]} too")
            seen.setdefault(record.id, f"{path}:{line}")
            records.append(record)
    if errors:
        raise UsageError("\n".join(errors))
    return records


def _rows(path: Path, errors: list[str]) -> list[tuple[int, dict[str, str]]]:
    """The filled cells of each row by column, with the row's line; mistakes in the table's form are added to
    `errors`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = tuple(next(reader, ()))
            if header != COLUMNS:
                errors.append(f"{path}:1: the header should be {','.join(COLUMNS)}")
                return []
            found = []
            for cells in reader:
                if len(cells) == len(COLUMNS):
                    filled = {name: cell for name, cell in zip(COLUMNS, cells, strict=True) if cell.strip()}
                    found.append((reader.line_num, filled))
                else:
                    errors.append(f"{path}:{reader.line_num}: has {len(cells)} fields, should have {len(COLUMNS)}")
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        errors.append(f"{path}: cannot be read: {error}")
        return []


def _told(detail: Any) -> str:
    """A column and its mistake; messages about several columns name them themselves."""
    if not detail["loc"]:
        return str(detail["msg"]).removeprefix("Value error, ")
    column = detail["loc"][0]
    if detail["type"] == "missing":
        return f"{column}: is empty, and every record has it"
    return f"{column}: is {detail['input']!r}; {str(detail['msg']).removeprefix('Value error, ').lower()}"
