import importlib.util
import json
import py_compile
import time

import pytest

from bench.execution.measured import Measured
from bench.execution.recorded_code import HarnessCode
from bench.execution.recording import Recorder
from bench.host import provenance
from bench.runs.run import Run
from bench.runs.store import StoreError


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path / "results", "digits", "mine")


def record(recorder, measured):
    return recorder.record(
        recorder.begin(), measured, cell="c" * 16, config={"epochs": 1}, seed=3, measure="loading", price_per_hour=2.0
    )


def test_a_record_is_on_the_disk_and_says_where_even_if_its_worker_did_not(recorder):
    run = record(recorder, Measured("crashed", "killed", facts={}))
    assert recorder.store.read() == [run]
    assert (run.recipe, run.sweep, run.measure, run.seed, run.price_per_hour) == ("digits", "mine", "loading", 3, 2.0)
    assert run.machine["id"] == recorder.machine["id"]
    assert run.code["sources_sha256"]
    assert run.log is None


def test_what_the_worker_said_goes_into_the_record(recorder):
    facts = {
        "machine": {"id": "a part of it", "torch_threads": 3},
        "resolved": {"threads": 1},
        "data": {"name": "digits"},
        "versions": {"a": "1"},
    }
    attempt = recorder.begin()
    attempt.log.parent.mkdir(parents=True)
    attempt.log.write_text("words\n")
    run = recorder.record(
        attempt,
        Measured("ok", facts=facts, metrics={"accuracy": 0.5}),
        cell="c" * 16,
        config={"epochs": 1},
        seed=0,
        measure="time_to_accuracy",
        price_per_hour=None,
    )
    assert (run.data, run.versions) == (facts["data"], facts["versions"])
    # Where several run at once, a worker sees its part of the machine; what only its torch tells is taken from it.
    assert run.machine["id"] == recorder.machine["id"]
    assert run.machine["torch_threads"] == (recorder.machine["torch_threads"] or 3)
    assert run.config == {"epochs": 1, "resolved": {"threads": 1}}
    assert (recorder.results / run.log).read_text() == "words\n"


def test_a_record_that_cannot_be_kept_is_printed(recorder, capsys):
    recorder.results.write_text("in the way")
    with pytest.raises(StoreError, match="append it to") as caught:
        record(recorder, Measured("ok", metrics={"accuracy": 0.5}))
    assert caught.value.exit_code == 3
    line = capsys.readouterr().err
    assert Run.from_json_line(line.encode()).metrics == {"accuracy": 0.5}
    assert json.loads(line)["sweep"] == "mine"


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A file of the tree that is running."""
    monkeypatch.setattr(provenance, "own_root", lambda: tmp_path)
    path = tmp_path / "models" / "net.py"
    path.parent.mkdir()
    path.write_text("width = 64\n")
    return path


def test_code_that_is_edited_for_a_run_and_restored_while_it_trains_is_told(sources, tmp_path):
    sources.write_text("width = 1\n")
    recorder = Recorder(tmp_path / "results", "digits")
    edited = provenance.sources_sha256(tmp_path)
    time.sleep(0.02)  # a file system's clock ticks a hundred times a second
    sources.write_text("width = 64\n")
    run = record(recorder, Measured("ok"))
    assert run.code["sources_sha256"] == edited
    assert run.code["changed_during_run"] == ["models/net.py"]


def test_a_compiled_module_of_another_source_is_told(sources, tmp_path):
    other = sources.with_name("other.py")
    other.write_text("width = 65\n")
    kept = importlib.util.cache_from_source(str(sources))
    py_compile.compile(str(other), cfile=kept, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    run = record(Recorder(tmp_path / "results", "digits"), Measured("ok"))
    assert run.code["bytecode_not_of_source"] == ["models/net.py"]


def test_what_the_worker_imported_is_compared(sources, tmp_path):
    recorder = Recorder(tmp_path / "results", "digits")
    same = record(recorder, Measured("ok", facts={"imported_sources_sha256": recorder.code["sources_sha256"]}))
    assert same.code["changed_during_run"] == []
    other = record(recorder, Measured("ok", facts={"imported_sources_sha256": "0" * 64}))
    assert other.code["changed_during_run"] == ["what the worker imported"]


def test_code_beside_the_commit_makes_it_dirty(recorder, monkeypatch):
    monkeypatch.setattr(HarnessCode, "identity", {"commit": "a" * 40, "dirty": False, "sources_sha256": "b" * 64})
    for loaded, dirty in (({"winograd.cpp": "c"}, False), ({"sitecustomize, not of this Python": "c"}, True)):
        run = record(recorder, Measured("ok", facts={"loaded": loaded}))
        assert (run.code["loaded"], run.code["dirty"]) == (loaded, dirty)


def test_a_command_s_machine_says_nothing_of_this_process_s_own_packages(recorder):
    attempt = recorder.begin()
    run = recorder.record(
        attempt,
        Measured("ok", facts={"versions": {"python": "3.9.18"}}),
        cell="c" * 16,
        config={"command": ["python", "train.py"]},
        seed=0,
        measure="time_to_accuracy",
        price_per_hour=None,
    )
    assert run.machine["id"] == recorder.machine["id"]
    assert {"cpu_model", "memory_bytes"} <= run.machine.keys()
    assert not [key for key in run.machine if key.startswith(("python", "torch"))]
