import io

import pytest
from rich.console import Console


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=160, height=20)


@pytest.fixture
def a_run(make_run):
    def make(cell, seed=0, status="ok", **metrics):
        return make_run(cell=cell.id, seed=seed, status=status, metrics=metrics, machine={"id": "here"})

    return make
