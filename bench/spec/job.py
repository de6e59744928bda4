"""What one run is: everything that a worker is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.host.share import Share
from bench.runs.weights import WeightsFile
from bench.spec.measures import MEASURES
from bench.spec.recipe import Recipe
from bench.statistics.sampling import Bounds


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    `keep_weights` is where a training leaves its final weights, `weights` are those that an inference takes.
    `origin_s` is the reading of `time.monotonic` at which the user's command, or this run of several,
    began. `cache` is where loaders keep converted data. `measure` is one of MEASURES or a user's; those that
    sample stop by `sampling`. `share` is what of the machine the run may use. Raises `UsageError` for another measure.
    """

    recipe: Recipe
    seed: int
    device: str
    data_dir: Path | None
    cache: Path
    log: Path
    origin_s: float
    measure: str = "time_to_accuracy"
    sampling: Bounds = field(default_factory=Bounds)
    share: Share = field(default_factory=Share)
    # Which of the several processes that a run on several devices has this is.
    rank: int = 0
    keep_weights: Path | None = None
    weights: WeightsFile | None = None
    # Whether the worker waits for jobs of other seeds, which it does in the same process. Those differ from the first
    # in seed, log, origin and kept weights alone.
    shared_process: bool = False
    # Whether compiled programs are taken from earlier runs, and left to later ones.
    keep_compiled: bool = False

    def __post_init__(self) -> None:
        MEASURES.find(self.measure)
