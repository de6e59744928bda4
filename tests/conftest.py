"""What tests of every part share: the real data sets and a compiler, where this machine has them."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from inspect import isfunction, ismodule
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from bench.host.fingerprint import usable_cpus
from bench.host.gc_pause import collector_paused
from bench.host.native import COMPILERS
from tests import command
from tests.own_repository.repository import OwnRepository

# How long drawing an example takes is the machine's affair: a pause of a busy one is no fault of a test. In CI a
# change is judged by the same examples as the change before it; new ones are drawn wherever else the tests run.
settings.register_profile(
    "bench", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("bench")

# A shell makes what it runs in the background deaf to Ctrl-C, and so would be every command that a test stops by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As it was before any test, some of which change it.
_DATA = os.environ.get("BENCH_DATA")
_FILES = ("cifar10/cifar10.npz", "mnist/mnist.npz")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Three processes for two cores: each of them waits for a third of its time, mostly for processes that it started.

    None leaves the number to $PYTEST_XDIST_AUTO_NUM_WORKERS.
    """
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else math.ceil(len(usable_cpus()) * 1.5)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Python looks for no garbage while the tests are imported, which would take a sixth of that time."""
    with collector_paused():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests come first, and then those that start processes, so that at the end no process is busy
    with a long file while the others wait."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    starting = {item.path for item in items if isinstance(item, pytest.Function) and _starts_processes(item.module)}
    items.sort(key=lambda item: (-slow[item.path], item.path not in starting))


@cache
def _starts_processes(module: ModuleType) -> bool:
    """Whether it has imported the means to do so: `subprocess`, or `tests.command` or a function of it."""
    return any(
        one in (subprocess, command) if ismodule(one) else isfunction(one) and one.__module__ == command.__name__
        for one in vars(module).values()
    )


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """The environment variables after a test are those before it: commands called in this process change some."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """$BENCH_DATA, with cifar10/cifar10.npz and mnist/mnist.npz; the test is skipped where one is missing."""
    if _DATA and all((Path(_DATA) / file).is_file() for file in _FILES):
        return Path(_DATA)
    pytest.skip(f"no real data: $BENCH_DATA does not have {' and '.join(_FILES)}")


@pytest.fixture(scope="session")
def _own_repository_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return OwnRepository.make(tmp_path_factory.mktemp("template") / "own").root


@pytest.fixture
def own_repository(_own_repository_once: Path, tmp_path: Path) -> OwnRepository:
    """A user's git repository, with a network, data and a script of its own, for this test to change as it likes."""
    return OwnRepository(shutil.copytree(_own_repository_once, tmp_path / "own"))


@pytest.fixture(scope="session")
def cxx() -> None:
    """Skips the test where no C++ compiler is found."""
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip(f"no C++ compiler: {', '.join(COMPILERS)} not found")
