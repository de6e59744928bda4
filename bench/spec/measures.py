"""What can be asked of a recipe, by name; `bench.measures` does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.errors import UsageError
from bench.registry.reference import parse
from bench.registry.registry import Info, Registry
from bench.statistics.sampling import Bounds

MEASURES = Registry(
    "measure",
    "measures",
    {
        "time_to_accuracy": Info(
            "bench.measures.time_to_accuracy:TimeToAccuracy", "train to the target accuracy, every phase timed"
        ),
        "throughput": Info(
            "bench.measures.throughput:Throughput", "samples/s of training steps, with the loader and without it"
        ),
        "inference": Info(
            "bench.measures.inference:Inference",
            "latency of one image (p50, p95, p99), accuracy of --weights, and samples/s by batch size",
        ),
        "loading": Info(
            "bench.measures.loading:Loading",
            "images/s of the training loader alone, in its first epoch and in later ones",
        ),
        "find_lr": Info(
            "bench.measures.find_lr:FindLr", "the loss while the learning rate grows, and the rate that it suggests"
        ),
        "surface": Info(
            "bench.measures.surface:Surface",
            "train, then the loss around the weights: a slice in two random directions",
        ),
        "resize": Info(
            "bench.measures.resize:Resize",
            "JPEGs/s to small squares, by library, threads and processes; and the stored pixels read again",
        ),
        "neighbours": Info(
            "bench.measures.neighbours:Neighbours",
            "seconds a query for the nearest images, by brute force and by an approximate index",
        ),
        "checkerboard": Info(
            "bench.measures.checkerboard:Checkerboard",
            "how unequal the pixels are that an untrained layer makes of one colour",
        ),
        "memory": Info(
            "bench.measures.memory:Memory",
            "bytes that a training step keeps for its backward pass, and parameters; both counted",
        ),
    },
)
# Those that take samples until a figure is known well enough.
SAMPLED = ("throughput", "inference", "loading")
# What each says of itself in a recipe, under its own name; it is no part of what another measure measures.
WITH_OPTIONS = ("inference", "find_lr", "surface", "resize", "neighbours", "checkerboard")
# Those that train nothing, and the only parts of a recipe that they look at beside their own.
TRAIN_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"resize": (), "neighbours": ("data", "threads"), "checkerboard": ()}
)


# Those that train, and so can share their batches.
ON_SEVERAL_DEVICES = ("time_to_accuracy", "throughput")
# Those whose seeds can follow one another in one process.
SHARE_A_PROCESS = ("time_to_accuracy",)


def label_of(measure: str) -> str:
    """What records call it: bench's own name, that of a script's measure, or the name in a user's file."""
    reference = None if measure in MEASURES else parse(measure)
    return measure if reference is None else reference.name


def with_timeout(bounds: Bounds, timeout_s: float, measure: str) -> Bounds:
    """The bounds with the time-out of `--sampling-timeout`. Raises `UsageError` for a measure that samples nothing."""
    if measure not in SAMPLED:
        raise UsageError(f"--sampling-timeout: {measure} samples nothing; {', '.join(SAMPLED)} do")
    return replace(bounds, timeout_s=timeout_s)
