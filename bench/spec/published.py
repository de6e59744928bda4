"""What others measured of a recipe, as facts."""

from __future__ import annotations

from bench.documents.numbers import Count, Fraction, NotNegative, Positive
from bench.documents.strict import Strict


class Published(Strict):
    """What the recipe's source measured: facts as it states them, null where it says nothing.

    `accuracy` is a fraction, a mean where `n` runs are more than one, and a margin is half a 95 % interval of such a
    mean; `clock` names what the time contains. `runs` is the file in results/published that the facts were counted
    from, where the runs are this project's own.
    """

    hardware: str
    time_s: Positive | None = None
    time_margin_s: NotNegative | None = None
    accuracy: Fraction | None = None
    accuracy_margin: Fraction | None = None
    epochs: Positive | None = None
    n: Count | None = None
    cost_usd: NotNegative | None = None
    clock: str | None = None
    note: str = ""
    runs: str | None = None
