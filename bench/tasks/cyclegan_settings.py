"""The settings of `task: cyclegan`. Importing this brings no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.documents.numbers import NotNegative
from bench.tasks.settings import TaskSettings

MOST_KEPT = 100_000


class CycleGanSettings(TaskSettings):
    """Two generators translate domain A to B and back, and each is judged by a critic of its target.

    Critics and generators have least-squares losses. The rest is weighted against them: the L1 distance between an
    image and what comes back from the other domain, and that between an image and its translation into its own domain.
    """

    LOADERS: ClassVar = ("unpaired",)

    name: Literal["cyclegan"]
    cycle_weight: NotNegative = 10.0
    """Weight of the distance to what comes back (λ), for each domain."""
    identity_share: NotNegative = 0.5
    """Weight of the distance to the translation into the own domain, as a share of `cycle_weight`; 0 computes none."""
    pool: Annotated[int, Field(ge=0, le=MOST_KEPT)] = 50
    """Earlier fakes kept for each critic, of which it sees one in place of every second new one; 0 keeps none."""
