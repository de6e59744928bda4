"""Schedules, as a recipe says them; `bench.training.schedules` computes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from bench.documents.limits import LARGEST_NUMBER
from bench.documents.named import Named
from bench.documents.numbers import Fraction, Kept, NotNegative, Positive, TrainingShare
from bench.documents.strict import Strict
from bench.registry.checks import check_known
from bench.registry.reference import parse
from bench.training.registries import SCHEDULES


class Constant(Strict):
    name: Literal["constant"]


class Linear(Strict):
    """A line from `start` to `end`.

    It begins at the share `after` of the training (null: at once) and arrives at the share `until` (null: at its end).
    """

    name: Literal["linear"]
    start: NotNegative = 1.0
    """Factor at the beginning."""
    end: NotNegative = 0.0
    """Factor at the end."""
    until: TrainingShare | None = None
    """Share of the training at which the end is reached."""
    after: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training until which the factor stays at `start`."""

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.after is not None and self.until is not None and self.after >= self.until:
            raise ValueError(
                f"schedule.after: the line begins at {self.after:g} of the training, which has to be before "
                f"{self.until:g}, where it ends (until)"
            )
        return self


class Triangular(Strict):
    name: Literal["triangular"]
    start: NotNegative = 0.2
    """Factor at the beginning."""
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.23
    """Share of the training at which the factor is 1."""
    end: NotNegative = 0.07
    """Factor at the end."""


class OneCycle(Strict):
    name: Literal["one_cycle"]
    div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 20.0
    """The factor rises from 1/div to 1 and falls back to 1/div."""
    pct: Annotated[float, Field(ge=0, lt=100)] = 20.0
    """Per cent of the training for the final fall to 1/(100·div)."""
    max_momentum: Kept = 0.95
    """Momentum at the lowest rate."""
    min_momentum: Kept = 0.85
    """Momentum at the highest rate."""


class FitOneCycle(Strict):
    """Cosines up from 1/div of the rate until the share `pct_start` of the training, and down to 1/(div · final_div).

    Momentum goes from max to min and back; with both equal it is held.
    """

    name: Literal["fit_one_cycle"]
    div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 25.0
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    final_div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 1e4
    max_momentum: Kept = 0.95
    min_momentum: Kept = 0.85


class MultiStep(Strict):
    name: Literal["step"]
    milestones: list[Fraction] = Field(default=[0.3, 0.6, 0.8])
    """Shares of the training at which the rate drops."""
    gamma: Positive = 0.2
    """Factor of each drop."""


class Cosine(Strict):
    name: Literal["cosine"]
    end: Fraction = 0.0
    """Factor at the end."""


class OwnSchedule(Named):
    """A user's, with the options that it takes."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_known("schedule", self.name, SCHEDULES)
        return self


def _kind_of_schedule(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    is_own = isinstance(name, str) and name not in SCHEDULES and (parse(name) or name in SCHEDULES.installed)
    return "own" if is_own else str(name)


ScheduleConfig = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Triangular, Tag("triangular")]
    | Annotated[OneCycle, Tag("one_cycle")]
    | Annotated[FitOneCycle, Tag("fit_one_cycle")]
    | Annotated[MultiStep, Tag("step")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[OwnSchedule, Tag("own")],
    Discriminator(_kind_of_schedule),
]
