"""Options of `bench compare` that compare two recipes at the same accuracy or cross-entropy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from bench.errors import UsageError
from bench.gate.equal_quality import Terms
from bench.gate.length_unit import LENGTH_UNITS, SECONDS
from bench.gate.quality_metric import ACCURACY, CROSS_ENTROPY

LEVELS = f"{ACCURACY.option} 0.94 or {CROSS_ENTROPY.option} 0.39"


def accuracy(text: str | float) -> float:
    """For `typer.Option(parser=…)`: `0.94` or `94%`."""
    if isinstance(text, float):
        return text
    match = re.fullmatch(r"(0?\.[0-9]{1,9})|([0-9]{1,2}(?:\.[0-9]{1,9})?)\s*%", text.strip())
    found = (float(match[1]) if match[1] else float(match[2]) / 100) if match else 0.0
    if not 0 < found < 1:
        raise typer.BadParameter(f"{text[:40]!r}: give an accuracy, more than 0 and less than 1, as in 0.94 or 94%")
    return found


def nats(text: str | float) -> float:
    """For `typer.Option(parser=…)`: a cross-entropy, `0.39`."""
    if isinstance(text, float):
        return text
    match = re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}", text.strip())
    found = float(match[0]) if match else 0.0
    if not found:
        raise typer.BadParameter(
            f"{text[:40]!r}: give a mean cross-entropy in nats, more than 0 and less than 100, as in 0.39"
        )
    return found


class LengthBy(StrEnum):
    """The names of bench.gate.length_unit.LENGTH_UNITS."""

    seconds = "seconds"
    flop = "flop"


@dataclass(frozen=True)
class EqualQualityOptions:
    """At which accuracy or cross-entropy two recipes are compared, if at any, and by what."""

    at_accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="ACCURACY",
            parser=accuracy,
            help="Compare two recipes by the time to this accuracy, such as 0.94; run each at a few numbers of epochs.",
        ),
    ] = None
    at_cross_entropy: Annotated[
        float | None,
        typer.Option(
            metavar="NATS",
            parser=nats,
            help="The same by the mean cross-entropy of the evaluated images, such as 0.39; chance changes it less.",
        ),
    ] = None
    by: Annotated[
        LengthBy | None,
        typer.Option(
            help="With either of these: compare by seconds of training (the default) or by FLOPs, which are the same "
            "on every machine.",
        ),
    ] = None
    share_rate: Annotated[
        bool,
        typer.Option(
            "--share-rate",
            help="With either of these: take both recipes to improve at the same rate, so that fewer runs decide.",
        ),
    ] = False

    @property
    def terms(self) -> Terms | None:
        """None if neither an accuracy nor a cross-entropy is given. Raises UsageError for options that need one, and
        for both."""
        given = [(ACCURACY, self.at_accuracy), (CROSS_ENTROPY, self.at_cross_entropy)]
        asked = [(metric, target) for metric, target in given if target is not None]
        if len(asked) > 1:
            raise UsageError(f"{ACCURACY.option} and {CROSS_ENTROPY.option} were both given: leave out one of them")
        if not asked:
            for option, is_given in (("--by", self.by is not None), ("--share-rate", self.share_rate)):
                if is_given:
                    raise UsageError(
                        f"{option} says how recipes are compared at equal quality: add {LEVELS}, or leave it out"
                    )
            return None
        metric, target = asked[0]
        return Terms(target, metric, SECONDS if self.by is None else LENGTH_UNITS[self.by.value], self.share_rate)
