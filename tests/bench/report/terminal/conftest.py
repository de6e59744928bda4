import io

import pytest

from bench.text.console import LastingConsole


@pytest.fixture
def console():
    return LastingConsole(file=io.StringIO(), width=160, height=20)


@pytest.fixture
def a_run(make_run):
    def make(cell, seed=0, status="ok", **metrics):
        return make_run(cell=cell.id, seed=seed, status=status, metrics=metrics, machine={"id": "here"})

    return make
