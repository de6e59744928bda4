"""Where runs are made, by the command line: pins, one host alone, and a host that is slow."""

from __future__ import annotations

import json

import pytest

from bench.cli.commands import run as run_command
from bench.execution.measured import Measured
from bench.runs.run import new_run_id
from bench.runs.store import Store

MATRIX = """\
recipe: digits
set: {epochs: 1}
axes:
  batch_size: [64, 128]
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / "runs" / "runs.jsonl")


@pytest.fixture
def host(monkeypatch):
    """`host("a")` lets this machine pass for a host of that name."""
    return lambda name: monkeypatch.setenv("BENCH_HOST", name)


@pytest.fixture
def at_once(monkeypatch):
    """Runs end at once, well: what is asked here is which are made, and by which host."""
    monkeypatch.setattr(
        run_command, "execute", lambda *_, **__: Measured("ok", metrics={"total_s": 1.0, "accuracy": 0.97})
    )


def machine_of(bench):
    return json.loads(bench("env", "--json").out)["machine"]


@pytest.mark.usefixtures("here")  # whose workers are forked
def test_a_record_has_the_key_of_its_host_and_no_name(bench, store, host):
    host("node-17")
    here = machine_of(bench)
    assert bench("run", "digits", "--set", "epochs=1").code in (0, 1)
    (run,) = store.read()
    assert run.machine["host"] == here["host"]
    assert "node-17" not in store.path.read_text()


@pytest.mark.parametrize("command", [("run", "digits"), ("sweep", "digits", "--dry-run")])
def test_a_pin_of_another_machine_is_refused_before_anything_runs(bench, store, command):
    here = machine_of(bench)
    answer = bench(*command, "--pin", "beefbeefbeef")
    assert answer.code == 3
    assert f"this is another machine, {here['id']}, on host {here['host']}; run it there" in " ".join(
        answer.err.split()
    )
    assert not store.path.exists()
    assert bench(*command, "--pin", "laptop").code == 2


def test_a_pin_of_this_machine_is_no_obstacle(bench):
    here = machine_of(bench)
    for pin in (here["id"], here["host"][:6]):
        assert bench("sweep", "digits", "--dry-run", "--pin", pin).code == 0


@pytest.mark.usefixtures("here")
def test_with_same_machine_what_another_host_did_is_run_again(bench, store, host, tmp_path):
    (tmp_path / "m.yaml").write_text(MATRIX)
    host("a")
    bench("sweep", "m.yaml")
    host("b")
    bench("sweep", "m.yaml")
    assert len(store.read()) == 2
    bench("sweep", "m.yaml", "--same-machine")
    assert len(store.read()) == 4
    assert len({run.machine["host"] for run in store.read()}) == 2


def test_with_same_machine_the_seeds_of_another_host_are_run_again(bench, store, host, at_once):
    short = ("run", "digits", "--set", "epochs=1", "--set", "target_accuracy=null", "--seeds", "2")
    host("a")
    bench(*short)
    host("b")
    bench(*short)
    assert len(store.read()) == 2
    bench(*short, "--same-machine")
    assert [run.seed for run in store.read()] == [0, 1, 0, 1]


def test_a_slow_host_is_marked_or_refused(bench, store, host, at_once):
    """The other hosts of this kind are planted: none needs a millisecond for what takes this one many."""
    host("a")
    bench("run", "digits", "--set", "epochs=1", "--slow-host", "mark")
    (run,) = store.read()
    assert set(run.machine["reference"]) == {"matrix_product_s", "matrix_product_hz", "memory_copy_s", "memory_copy_hz"}
    assert "off" not in run.machine
    record = json.loads(store.path.read_text())
    for other in ("b", "c", "d"):
        record["run_id"] = new_run_id()
        record["machine"] |= {"host": other * 12, "reference": {"matrix_product_s": 1e-4, "memory_copy_s": 1e-4}}
        with store.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    count = len(store.read())
    refused = bench("run", "digits", "--slow-host", "refuse")
    assert refused.code == 3
    assert "longer than on 3 other hosts of its kind" in " ".join(refused.err.split())
    assert len(store.read()) == count
    marked = bench("run", "digits", "--set", "epochs=1", "--slow-host", "mark")
    assert "Slow hosts: host" in marked.out
    assert "longer than on 3 other hosts" in store.read()[-1].machine["off"]
