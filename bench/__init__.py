"""Honest, fast, reproducible timing of deep-learning training."""

# For `python -m bench` this runs while the current folder is still first on the path: only what is built in may be
# imported here.
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bench.runs.frames import load

# The moment nearest to the user's command that Python lets us see; a run's spans start here.
STARTED_S = time.monotonic()

__version__ = "0.1.0"

__all__ = ["STARTED_S", "__version__", "load"]


def __getattr__(name: str) -> "Any":
    if name == "load":
        from bench.runs.frames import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
