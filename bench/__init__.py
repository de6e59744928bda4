"""Honest, fast, reproducible timing of deep-learning training.

From Python: `bench.run("digits", seeds=3)`, `bench.sweep(…)`, `bench.load()` and `bench.leaderboard(…)` give frames;
docs/python.md shows them. Importing bench imports none of that before it is used.
"""

from bench import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bench.api.calls import leaderboard, load_recipe, run, sweep
    from bench.api.loading import load
    from bench.errors import BenchError, MissingError, UsageError
    from bench.runs.frames import Frames
    from bench.spec.recipe import Recipe

__version__ = about.VERSION

__all__ = [
    "BenchError",
    "Frames",
    "MissingError",
    "Recipe",
    "UsageError",
    "__version__",
    "leaderboard",
    "load",
    "load_recipe",
    "run",
    "sweep",
]

_WHERE = {
    "BenchError": "bench.errors",
    "Frames": "bench.runs.frames",
    "MissingError": "bench.errors",
    "Recipe": "bench.spec.recipe",
    "UsageError": "bench.errors",
    "leaderboard": "bench.api.calls",
    "load": "bench.api.loading",
    "load_recipe": "bench.api.calls",
    "run": "bench.api.calls",
    "sweep": "bench.api.calls",
}


def __getattr__(name: str) -> "Any":
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
