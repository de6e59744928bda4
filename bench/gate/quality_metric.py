"""In what two recipes are held equal where their lengths are compared: the accuracy or the cross-entropy they reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.text import units


@dataclass(frozen=True)
class QualityMetric:
    """A metric of finished runs that tells how good a network is, and how a comparison speaks of it.

    `key` is its name in records, and begins the names of keys, as in `accuracy_per_s`. `show` prints a value.
    `unit` is its own, "1" for a share; differences are printed in `difference_unit`, `scale` times as large numbers.
    What `depends_on_labels` is changed by label smoothing in training, although the network is as good.
    """

    name: str
    key: str
    unit: str
    lower_is_better: bool
    depends_on_labels: bool
    show: Callable[[float], str]
    difference_unit: str
    scale: float

    @property
    def option(self) -> str:
        """The option of `bench compare` that holds it equal."""
        return f"--at-{self.name}"

    @property
    def improvement(self) -> str:
        """What it does as trainings get longer."""
        return "fall" if self.lower_is_better else "rise"

    def improves(self, rate: float) -> bool:
        """Whether it gets better where it changes at this rate."""
        return rate < 0 if self.lower_is_better else rate > 0


ACCURACY = QualityMetric(
    "accuracy",
    "accuracy",
    "1",
    lower_is_better=False,
    depends_on_labels=False,
    show=units.percent,
    difference_unit="points",
    scale=100,
)
CROSS_ENTROPY = QualityMetric(
    "cross-entropy",
    "cross_entropy",
    "nats",
    lower_is_better=True,
    depends_on_labels=True,
    show="a cross-entropy of {:.4g}".format,
    difference_unit="nats",
    scale=1,
)
