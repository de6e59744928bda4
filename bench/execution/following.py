"""What follows a run from outside, and the loop that does so to the run's end."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any, Protocol

from bench.execution.measured import Measured


class RunFollower(Protocol):
    """Follows one run, which goes on by itself; nothing here waits but `close`."""

    @property
    def over(self) -> bool:
        """Whether the run has ended, and all of it is known."""

    @property
    def sources(self) -> Sequence[Any]:
        """What `multiprocessing.connection.wait` should look at before the next `advance`."""

    def advance(self) -> None:
        """Take what has arrived, and notice what has ended."""

    def close(self) -> None:
        """End a run that is not over."""

    def result(self) -> Measured:
        """What was measured; complete once it is `over`."""


def follow_to_end(follower: RunFollower, tick_s: float) -> Measured:
    """The result of the run, which is looked at every `tick_s` seconds at least; whatever is raised here ends it."""
    try:
        while not follower.over:
            wait(follower.sources, tick_s)
            follower.advance()
    finally:
        follower.close()
    return follower.result()
