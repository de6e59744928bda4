"""Numbers as documents may give them, each within bounds that no real work meets."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bench.documents.limits import (
    LARGEST_NUMBER,
    LEAST_EPOCHS,
    MOST_COUNT,
    MOST_EPOCHS,
    MOST_PIXELS,
    MOST_THREADS,
)


def _enough_for_a_step(epochs: float) -> float:
    if epochs < LEAST_EPOCHS:
        raise PydanticCustomError("too_few", "Input should be at least {least}", {"least": LEAST_EPOCHS})
    return epochs


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=LARGEST_NUMBER)]
# How much of a running average is kept at each step; 1 would keep all of it for ever.
Kept = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST_NUMBER)]
Epochs = Annotated[float, Field(gt=0, le=MOST_EPOCHS), AfterValidator(_enough_for_a_step)]
Count = Annotated[int, Field(gt=0, le=MOST_COUNT)]
Threads = Annotated[int, Field(gt=0, le=MOST_THREADS)]
Pixels = Annotated[int, Field(ge=0, le=MOST_PIXELS)]
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
# A share of the training that is over, counted in examples.
TrainingShare = Annotated[float, Field(gt=0, le=1)]
