from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.pipelines.datasets import fetch
from tests.pipelines.datasets.local_server import LocalServer


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the data, the cache or the mirror of the machine it runs on, nor waits to retry."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delenv("BENCH_DATA_URL", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "RETRY_DELAYS_S", (0.0, 0.0))
