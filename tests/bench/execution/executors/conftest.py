from __future__ import annotations

import pytest

from bench.execution.executors import on_host
from bench.execution.runner import end_fork_server


@pytest.fixture(scope="module")
def workers():
    """Ends the fork server that a module's runs share."""
    yield
    on_host._starts.cache_clear()
    end_fork_server()
