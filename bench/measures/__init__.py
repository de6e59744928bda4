"""The registry of measures: what can be asked of a recipe, by name.

Importing this is cheap; a measure brings torch with it and is imported when it is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.measures.base import Measure

MEASURES = {
    "time_to_accuracy": "train to the target accuracy, every phase timed",
    "throughput": "samples/s of training steps, with the loader and without it",
    "inference": "latency of one image (p50, p95, p99), accuracy of --weights, and samples/s by batch size",
    "loading": "images/s of the training loader alone, in its first epoch and in later ones",
    "memory": "bytes that a training step keeps for its backward pass, and parameters; both counted",
}
# Those that take samples until a figure is known well enough.
SAMPLED = ("throughput", "inference", "loading")
_CLASSES = {
    "time_to_accuracy": "bench.measures.time_to_accuracy:TimeToAccuracy",
    "throughput": "bench.measures.throughput:Throughput",
    "inference": "bench.measures.inference:Inference",
    "loading": "bench.measures.loading:Loading",
    "memory": "bench.measures.memory:Memory",
}


# Those that train, and so can share their batches.
ON_SEVERAL_DEVICES = ("time_to_accuracy", "throughput")
# Those whose seeds can follow one another in one process.
SHARE_A_PROCESS = ("time_to_accuracy",)


def measure_module(name: str) -> str:
    """Where the class of one of MEASURES is; importing it brings all that measuring needs."""
    return _CLASSES[name].partition(":")[0]


def measure_class(name: str) -> type[Measure]:
    """The class of one of MEASURES; torch is imported by then."""
    module, class_name = _CLASSES[name].split(":")
    kind: type[Measure] = getattr(importlib.import_module(module), class_name)
    return kind
