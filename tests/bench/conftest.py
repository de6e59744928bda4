"""What tests of the harness share: a run to vary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.run import Run, new_run_id


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """A small valid run, a new one at each call, with the given fields on top."""

    def make(**fields: Any) -> Run:
        standard: dict[str, Any] = {
            "run_id": new_run_id(),
            "cell": "0123456789abcdef",
            "recipe": "digits",
            "seed": 0,
            "status": "ok",
            "started_at": "2026-11-20T10:00:00.000Z",
        }
        return Run(**standard | fields)

    return make
