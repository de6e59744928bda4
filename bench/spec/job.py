"""One run: everything that a worker needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.host.share import Share
from bench.runs.checkpoint import Checkpoint, CheckpointPlace
from bench.runs.weights import WeightsFile
from bench.spec.measures import MEASURES
from bench.spec.recipe import Recipe
from bench.statistics.sampling import Bounds


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of a run on several hosts meet: `host:port` on the first, and which of the hosts this one is."""

    endpoint: str
    host_index: int


@dataclass(frozen=True)
class Job:
    """The description of one run for a worker.

    `keep_weights` is the file for the final weights of a training, `weights` those that an inference uses, and
    `nets` those that a recipe needs, by the settings that name them. `pictures` is the folder for what a task
    draws; None keeps nothing. `origin_s` is the value of `time.monotonic` at which the user's command, or this run
    of several, began. `cache` is the folder for loaders' converted data. `measure` is one of MEASURES or a user's;
    those that sample stop by `sampling`. `share` is the part of the machine that the run may use. Raises
    `UsageError` for an unknown measure.
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
    # The number of this process in a run on several devices.
    rank: int = 0
    keep_weights: Path | None = None
    weights: WeightsFile | None = None
    nets: Mapping[str, WeightsFile] = field(default_factory=dict)
    pictures: Path | None = None
    # Whether the worker waits for jobs of other seeds to run in the same process. They differ from the first only in
    # seed, log, pictures, origin and kept weights.
    shared_process: bool = False
    # Where its checkpoints are written, the one from which it goes on, and the interruptions behind it.
    checkpoints: CheckpointPlace | None = None
    resume: Checkpoint | None = None
    parts: Sequence[dict[str, Any]] = ()
    # Whether compiled programs of earlier runs are used, and new ones kept for later runs.
    keep_compiled: bool = False
    # What the fingerprint of the data must be; None leaves it open.
    data_fingerprint: str | None = None
    # Where the ranks of several hosts meet; None on one host.
    meeting: Meeting | None = None

    def __post_init__(self) -> None:
        MEASURES.find(self.measure)
