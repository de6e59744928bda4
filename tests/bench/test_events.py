"""The helper for scripts: nothing without the variable, no dependency, and no harm to the script."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bench import events

ROOT = Path(__file__).parents[2]


def test_it_imports_nothing_but_the_standard_library():
    program = (
        "import sys; before = set(sys.modules); from bench.events import epoch, metrics, span; epoch(0.5)\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "assert loaded == {'bench'}, loaded"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, env=os.environ | {"BENCH_EVENTS": ""})


def test_each_call_is_one_line(tmp_path, monkeypatch):
    file = tmp_path / "events"
    file.touch()
    monkeypatch.setenv("BENCH_EVENTS", str(file))
    with suppress(ZeroDivisionError), events.span("train", epoch=1):
        events.epoch(0.5, loss=None, lr=0.1)
        raise ZeroDivisionError
    events.metrics(step_s=0.25)
    told = [json.loads(line) for line in file.read_text().splitlines()]
    moments = [line.pop("at_s") for line in told]
    assert moments == sorted(moments)
    assert told == [
        {"event": "span", "name": "train", "state": "start", "epoch": 1},
        {"event": "epoch", "accuracy": 0.5, "lr": 0.1},
        {"event": "span", "name": "train", "state": "end"},
        {"event": "metrics", "step_s": 0.25},
    ]


def test_scalars_of_libraries_are_numbers(tmp_path, monkeypatch):
    import numpy as np

    file = tmp_path / "events"
    file.touch()
    monkeypatch.setenv("BENCH_EVENTS", str(file))
    events.epoch(np.float32(0.5))
    assert json.loads(file.read_text())["accuracy"] == 0.5


@pytest.mark.parametrize("kind", ["nothing", "a pipe without a reader", "a folder"])
def test_where_nobody_listens_nothing_happens_and_nothing_waits(tmp_path, monkeypatch, kind):
    place = tmp_path / "events"
    if kind == "a folder":
        place.mkdir()
    elif kind != "nothing":
        os.mkfifo(place)
    monkeypatch.setenv("BENCH_EVENTS", str(place))
    events.epoch(0.5)
