from __future__ import annotations

import os

import pytest

from bench.errors import MissingError
from bench.execution import host_check
from bench.execution.host_check import check_host, measured_apart
from bench.execution.measured import Measured
from bench.execution.recording import Recorder
from bench.host.fingerprint import fingerprint
from bench.host.host_key import own_salt

USUAL_S = {"matrix_product_s": 0.010, "memory_copy_s": 0.050}


def usual_kernels(_device: str) -> dict[str, float | None]:
    return dict(USUAL_S)


def slow_kernels(_device: str) -> dict[str, float | None]:
    """Of a host with planted slowness."""
    return {"matrix_product_s": 0.014, "memory_copy_s": 0.050}


def dying_kernels(_device: str) -> dict[str, float | None]:
    os._exit(1)


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """Of a store that has runs of three other hosts of this kind, and one of another kind that is fast."""
    monkeypatch.setenv("BENCH_HOST", "here")
    made = Recorder(tmp_path / "results", "digits")
    for host in ("a" * 12, "b" * 12, "c" * 12):
        facts = {"node": made.machine | {"host": host, "reference": USUAL_S}}
        record(made, facts)
    record(made, {"node": made.machine | {"id": "f" * 12, "host": "d" * 12, "reference": {"matrix_product_s": 1e-6}}})
    return made


def record(recorder, facts=None):
    measured = Measured("ok", facts=facts or {})
    return recorder.record(
        recorder.begin(), measured, cell="c" * 16, config={}, seed=0, measure="loading", price_per_hour=None
    )


def test_a_slow_host_is_marked_in_every_record(recorder):
    why = check_host(recorder, "cpu", refuse=False, kernels=slow_kernels)
    assert why == "a matrix product takes 40% longer than on 3 other hosts of its kind"
    run = record(recorder)
    assert run.machine["off"] == why
    assert run.machine["reference"]["matrix_product_s"] == 0.014
    assert recorder.store.read()[-1] == run


def test_a_slow_host_is_refused_before_it_costs_anything(recorder):
    count = len(recorder.store.read())
    with pytest.raises(MissingError, match=rf"host \({recorder.machine['host']}\) is off: .* 40% longer .*--slow-host"):
        check_host(recorder, "cpu", refuse=True, kernels=slow_kernels)
    assert len(recorder.store.read()) == count


def test_a_host_like_the_others_is_only_measured(recorder):
    assert check_host(recorder, "cpu", refuse=True, kernels=usual_kernels) is None
    run = record(recorder)
    assert run.machine["reference"] == USUAL_S
    assert "off" not in run.machine


def test_kernels_that_die_or_never_end_are_told(recorder, monkeypatch):
    assert measured_apart(dying_kernels, "cpu") is None
    monkeypatch.setattr(host_check, "LIMIT_S", 0.0)
    assert "did not end within 0 s" in check_host(recorder, "cpu", refuse=False, kernels=usual_kernels)
    assert "reference" not in record(recorder).machine


def test_a_record_tells_the_node_it_ran_on(recorder):
    facts = {
        "machine": {"id": "part", "torch_threads": 3},
        "node": {"id": "whole", "host": "n" * 12, "cpu_quota": None},
    }
    assert record(recorder, facts).machine == {"id": "whole", "host": "n" * 12, "torch_threads": 3}


def test_a_node_has_the_key_by_the_salt_of_the_command(recorder, monkeypatch, tmp_path):
    salt = own_salt()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert fingerprint(salt)["host"] == recorder.machine["host"] != fingerprint()["host"]
