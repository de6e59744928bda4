"""What can be asked of a recipe, by name; `bench.measures` does it."""

from __future__ import annotations

from dataclasses import replace

from bench.errors import UsageError
from bench.statistics.sampling import Bounds

MEASURES = {
    "time_to_accuracy": "train to the target accuracy, every phase timed",
    "throughput": "samples/s of training steps, with the loader and without it",
    "inference": "latency of one image (p50, p95, p99), accuracy of --weights, and samples/s by batch size",
    "loading": "images/s of the training loader alone, in its first epoch and in later ones",
    "memory": "bytes that a training step keeps for its backward pass, and parameters; both counted",
}
# Those that take samples until a figure is known well enough.
SAMPLED = ("throughput", "inference", "loading")


# Those that train, and so can share their batches.
ON_SEVERAL_DEVICES = ("time_to_accuracy", "throughput")
# Those whose seeds can follow one another in one process.
SHARE_A_PROCESS = ("time_to_accuracy",)


def with_timeout(bounds: Bounds, timeout_s: float, measure: str) -> Bounds:
    """The bounds with the time-out of `--sampling-timeout`. Raises `UsageError` for a measure that samples nothing."""
    if measure not in SAMPLED:
        raise UsageError(f"--sampling-timeout: {measure} samples nothing; {', '.join(SAMPLED)} do")
    return replace(bounds, timeout_s=timeout_s)
