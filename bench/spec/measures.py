"""The measures of a recipe by name; `bench.measures` implements them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.errors import UsageError
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
# Measures that sample until a figure is precise enough.
SAMPLED = ("throughput", "inference", "loading")
# Measures with options in a recipe under their own name, which do not belong to the cells of other measures.
WITH_OPTIONS = ("inference", "find_lr", "surface", "resize", "neighbours", "checkerboard")
# Measures that train nothing, with the parts of a recipe that they use besides their own options.
TRAIN_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"resize": (), "neighbours": ("data", "threads"), "checkerboard": ()}
)


# Measures that train and can therefore share batches between devices.
ON_SEVERAL_DEVICES = ("time_to_accuracy", "throughput")
# Measures whose seeds can run one after another in one process.
SHARE_A_PROCESS = ("time_to_accuracy",)


def with_timeout(bounds: Bounds, timeout_s: float, measure: str) -> Bounds:
    """The bounds with the time-out of `--sampling-timeout`. Raises `UsageError` for a measure that samples nothing."""
    if measure not in SAMPLED:
        raise UsageError(f"--sampling-timeout: {measure} samples nothing; {', '.join(SAMPLED)} do")
    return replace(bounds, timeout_s=timeout_s)
