"""What is measured of a recipe: a measure a file, found by its name.

Importing this is cheap; a measure brings torch with it and is imported when it is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.measures.base import Measure

_CLASSES = {
    "time_to_accuracy": "bench.measures.time_to_accuracy:TimeToAccuracy",
    "throughput": "bench.measures.throughput:Throughput",
    "inference": "bench.measures.inference:Inference",
    "loading": "bench.measures.loading:Loading",
    "find_lr": "bench.measures.find_lr:FindLr",
    "surface": "bench.measures.surface:Surface",
    "resize": "bench.measures.resize:Resize",
    "neighbours": "bench.measures.neighbours:Neighbours",
    "checkerboard": "bench.measures.checkerboard:Checkerboard",
    "memory": "bench.measures.memory:Memory",
}


def measure_module(name: str) -> str:
    """Where the class of one of MEASURES is; importing it brings all that measuring needs."""
    return _CLASSES[name].partition(":")[0]


def measure_class(name: str) -> type[Measure]:
    """The class of one of MEASURES; torch is imported by then."""
    module, class_name = _CLASSES[name].split(":")
    kind: type[Measure] = getattr(importlib.import_module(module), class_name)
    return kind
