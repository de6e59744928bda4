"""The price of an hour of a machine: a number, or a name in the dated table prices.yaml."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from bench.documents import core_schema
from bench.errors import UsageError
from bench.text.nearest import choices, did_you_mean

MOST_USD_PER_HOUR = 1_000_000_000
TABLE = Path(__file__).with_name("prices.yaml")


class ListPrice(BaseModel):
    """One row of the table; `date` is the day of the price."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hardware: str
    usd_per_hour: float
    date: datetime.date
    kind: Literal["on_demand", "spot"]
    source: str


class Price(BaseModel):
    """Dollars per hour and their origin, as stored in a record."""

    model_config = ConfigDict(frozen=True)
    usd_per_hour: float
    source: dict[str, str]


@functools.cache
def table() -> dict[str, ListPrice]:
    """The known prices, by name."""
    from bench.documents import yaml_reader

    return TypeAdapter(dict[str, ListPrice]).validate_python(yaml_reader.read(TABLE)[0])


def parse(text: str) -> Price:
    """The value of `--price`: dollars per hour, or a name in the table.

    Raises `UsageError` for an unknown name, and for a negative number.
    """
    try:
        number = float(core_schema.number(text))
    except ValueError:
        return _listed(text)
    if not 0 <= number <= MOST_USD_PER_HOUR:
        raise UsageError(f"--price {text[:40]}: a price is 0 to {MOST_USD_PER_HOUR:,} dollars per hour")
    return Price(usd_per_hour=number, source={"given_by": "--price"})


def choose(option: str | None, *others: tuple[str, float | None]) -> Price | None:
    """The price of the command line, else the first existing of the others, each named by its origin."""
    if option is not None:
        return parse(option)
    for giver, usd_per_hour in others:
        if usd_per_hour is not None:
            return Price(usd_per_hour=usd_per_hour, source={"given_by": giver})
    return None


def _listed(name: str) -> Price:
    known = table()
    if name not in known:
        raise UsageError(
            f"--price {name[:80]}: neither a number of dollars per hour nor a name of the price table"
            f"{did_you_mean(name, known)}; {choices(known, 'bench prices')}"
        )
    row = known[name]
    source = {"given_by": "--price", "name": name, "date": str(row.date), "kind": row.kind, "source": row.source}
    return Price(usd_per_hour=row.usd_per_hour, source=source)
