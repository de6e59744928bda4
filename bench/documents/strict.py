"""What every document of values has in common: unknown keys and values of another type are refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bench.documents.limits import MOST_SECONDS

Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
