"""Data-sheet figures of graphics cards, by the names in the dated table cards.yaml."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from bench.errors import UsageError
from bench.text.nearest import choices, did_you_mean

TABLE = Path(__file__).with_name("cards.yaml")


class Card(BaseModel):
    """One row: matrix units' dense TFLOP/s in half precision and in TF32 (None without), fp32's, memory's GB/s."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hardware: str
    half_tflops: float
    tf32_tflops: float | None
    fp32_tflops: float
    memory_gb_per_s: float
    date: Any
    source: str


@functools.cache
def table() -> dict[str, Card]:
    """The known cards, by name."""
    return TypeAdapter(dict[str, Card]).validate_python(yaml.safe_load(TABLE.read_text(encoding="utf-8")))


def find(name: str) -> Card:
    """The card of this name. Raises `UsageError` for one that is not in the table."""
    known = table()
    if name.lower() not in known:
        raise UsageError(
            f"--card {name[:80]}: this card is not in the table{did_you_mean(name, known)}; "
            f"{choices(known, 'bench list cards')}"
        )
    return known[name.lower()]
