"""A claim file: a statement, its source, the matrix that tests it, and the rule that decides. Nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.documents.numbers import Count, NotNegative, Number, Positive
from bench.documents.strict import Strict
from bench.spec.matrix import Value
from bench.text.units import counted

Quantity = Literal["ratio", "difference", "value", "rank_correlation"]
# Two values also have an interval, but it is 64 standard deviations wide.
LEAST_SEEDS = 3
# The value of each quantity if there is no difference.
NOTHING_DIFFERS: dict[str, float] = {"ratio": 1.0, "difference": 0.0}
# The keys that each quantity requires and allows besides `metric`, `what` and `claimed`.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "ratio": ({"of", "to"}, {"metric_to", "negligible", "counted"}),
    "difference": ({"of", "to"}, {"metric_to", "negligible", "counted"}),
    "value": ({"of"}, {"counted"}),
    "rank_correlation": ({"with"}, set()),
}
_OF_SOME = frozenset().union(*(needed | allowed for needed, allowed in _KEYS.values()))


class Needs(Strict):
    """What a machine needs, or what the project lacks; a smaller substitute does not count.

    `card` is a part of a GPU's name, such as K80.
    """

    gpus: Count | None = None
    card: str | None = None
    system: str | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not str(self):
            raise ValueError("say gpus, card or system; leave needs out if any machine will do")
        return self

    @property
    def gpu(self) -> bool:
        """Whether it needs any GPU."""
        return self.gpus is not None or self.card is not None

    def is_card_among(self, names: Iterable[str]) -> bool:
        """Whether one of these GPUs, by their names, is the card."""
        return any((self.card or "").lower() in name.lower() for name in names)

    def __str__(self) -> str:
        gpus = None if self.gpus is None else counted(self.gpus, "GPU")
        return ", ".join(filter(None, (gpus, self.card, self.system)))


class Band(Strict):
    """The claimed range of the quantity: above a number, below one, or between two."""

    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _has_an_inside(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("say above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(
                f"nothing is above {self.above:g} and below {self.below:g}; above has to be the smaller one"
            )
        return self

    @property
    def ends(self) -> tuple[float, float]:
        low = -float("inf") if self.above is None else self.above
        return low, float("inf") if self.below is None else self.below


class Comparison(Strict):
    """One quantity and its claimed band.

    `ratio` is the metric of the cell `of` over that of the cell `to`, `difference` the one minus the other, both of
    equal seeds; `metric_to` is another metric for the cell `to`. `value` is the metric of one cell. `rank_correlation`
    is Spearman's between `metric` and `with` over all cells. A metric may be a product or a quotient of two, as in
    `samples_per_s * forward_flops_per_example`. A cell is named by the values it has on the matrix's axes. A deviation
    from 1 (ratio) or 0 (difference) below `negligible` does not matter. A `counted` quantity is the same in every run.
    """

    what: str
    quantity: Quantity
    metric: str
    of: dict[str, Value] | None = None
    to: dict[str, Value] | None = None
    metric_to: str | None = None
    with_: Annotated[str | None, Field(alias="with")] = None
    claimed: Band
    negligible: NotNegative | None = None
    counted: Literal[True] | None = None

    @field_validator("metric", "metric_to", "with_")
    @classmethod
    def _is_a_metric(cls, value: str | None) -> str | None:
        if value is not None:
            terms(value)
        return value

    @model_validator(mode="after")
    def _has_the_keys_of_its_quantity(self) -> Self:
        needed, allowed = _KEYS[self.quantity]
        given = {"with" if name == "with_" else name for name in self.model_fields_set} & _OF_SOME
        if lacking := sorted(needed - given):
            raise ValueError(f"{self.quantity} needs {' and '.join(lacking)}")
        if wrong := sorted(given - needed - allowed):
            raise ValueError(f"{self.quantity} takes no {wrong[0]}; it takes {', '.join(sorted(needed | allowed))}")
        low, high = self.claimed.ends
        nothing = NOTHING_DIFFERS.get(self.quantity)
        if self.quantity == "ratio" and max(low, 0.0) >= high:
            raise ValueError(f"claimed: a ratio is positive, and none is below {high:g}")
        if self.negligible and nothing is not None and low < nothing < high:
            raise ValueError(
                f"negligible: the claimed band from {low:g} to {high:g} holds {nothing:g} itself, so that no "
                "difference at all confirms it; leave negligible out"
            )
        return self

    @property
    def metrics(self) -> list[str]:
        """Every metric of a run that it uses."""
        named = filter(None, (self.metric, self.metric_to, self.with_))
        return list(dict.fromkeys(name for text in named for name, _ in terms(text)))


class ClaimSpec(Strict):
    """The content of a claim file; `minutes` is the time of its runs on two CPU cores, or on the GPUs that it needs."""

    statement: str
    source: str
    note: str = ""
    needs: Needs | None = None
    matrix: str | None = None
    minutes: Positive | None = None
    tests: list[Comparison] = Field(default=[])

    @model_validator(mode="after")
    def _can_be_tested_or_says_why_not(self) -> Self:
        if self.matrix is None:
            if self.needs is None:
                raise ValueError("name the matrix that tests it, or say what it needs")
            if self.tests:
                raise ValueError("tests: without a matrix nothing is tested; name one")
        elif not self.tests:
            raise ValueError("tests: the matrix needs at least one quantity that decides")
        elif self.minutes is None:
            raise ValueError("minutes: say how long the matrix takes")
        return self


def terms(metric: str) -> list[tuple[str, int]]:
    """The names in a metric and their powers: `a * b / c` is a and b to the first, and c to the power of -1.

    Raises ValueError for any other text.
    """
    found: list[tuple[str, int]] = []
    power = 1
    for position, part in enumerate(metric.split()):
        if position % 2 == 0:
            if not part.isidentifier():
                raise ValueError(f"{metric!r} is no metric; write a name, or names with * or / between them and spaces")
            found.append((part, power))
        elif part in ("*", "/"):
            power = 1 if part == "*" else -1
        else:
            raise ValueError(f"{metric!r}: {part!r} stands where * or / can")
    if not found or len(metric.split()) % 2 == 0:
        raise ValueError(f"{metric!r} is no metric; write a name, or names with * or / between them and spaces")
    return found


def metric_of(metrics: dict[str, Any], metric: str) -> float | None:
    """The value of a metric or product of metrics; None if a run lacks one of them or has it only as text."""
    product = 1.0
    for name, power in terms(metric):
        value = metrics.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or (power < 0 and value == 0):
            return None
        product *= float(value) ** power
    return product
