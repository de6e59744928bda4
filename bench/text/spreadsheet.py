"""Data frames as CSV in which a spreadsheet finds no formula to run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bench.text.console import visible

if TYPE_CHECKING:
    import pandas as pd

# Some spreadsheets also accept the full-width forms.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # fmt: skip


def harmless(value: Any) -> Any:
    """The value; text that a spreadsheet would take for a formula gets an apostrophe in front. Names may come from
    anybody."""
    if not isinstance(value, str):
        return value
    is_formula = value.lstrip(" ").startswith(FORMULA_STARTS) and not _is_number(value)
    return f"'{visible(value)}" if is_formula else visible(value)


def as_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV with a header line; all texts are made `harmless`."""
    import pandas as pd  # late: tables without frames need only `harmless`

    made = frame.copy()
    for name in frame.columns:
        if pd.api.types.is_string_dtype(frame[name].dtype) or pd.api.types.is_object_dtype(frame[name].dtype):
            made[name] = frame[name].map(harmless, na_action="ignore")
    return str(made.set_axis([harmless(str(name)) for name in frame.columns], axis=1).to_csv(index=False))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
