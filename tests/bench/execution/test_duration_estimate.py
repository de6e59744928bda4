import pytest

from bench.execution import duration_estimate
from bench.host.fingerprint import native_precision
from bench.runs.run import cell_id
from bench.runs.store import Store
from bench.spec import recipes

SHIPPED = duration_estimate.PUBLISHED


@pytest.fixture(autouse=True)
def published(monkeypatch, tmp_path):
    """An empty place for published runs."""
    monkeypatch.setattr(duration_estimate, "PUBLISHED", tmp_path / "published")
    return Store(tmp_path / "published" / "one.jsonl")


@pytest.fixture
def a_run(make_run):
    def make(total_s, machine="here", **changes):
        facts = {"id": machine, "cpu_model": "Abacus", "usable_cores": 2}
        return make_run(cell="c" * 16, metrics={"total_s": total_s}, machine=facts, **changes)

    return make


def test_earlier_runs_on_this_machine_count_first(a_run, published):
    published.append(a_run(1000.0, "elsewhere"))
    resumed = a_run(700.0, config={"resolved": {"resumed": [{"run_id": "r"}]}})
    runs = [a_run(10.0), a_run(20.0), a_run(500.0, "elsewhere"), a_run(900.0, status="interrupted"), resumed]
    said = duration_estimate.expect("c" * 16, "here", runs).said
    assert duration_estimate.expect("c" * 16, "here", runs).total_s == 15.0
    assert said == "15.0 s a seed, the mean of 2 earlier on this machine"


def test_another_machine_is_named(a_run):
    said = duration_estimate.expect("c" * 16, "here", [a_run(500.0, "elsewhere")]).said
    assert said == "about 8 min 20 s a seed, as on another machine (Abacus, 2 cores)"


def test_a_published_run_is_better_than_nothing(a_run, published):
    config = {"epochs": 3, "device": "cpu", "precision": "bf16"}
    recorded = config | {"precision": "auto", "resolved": {"precision": "bf16"}}
    published.append(a_run(191.0, "elsewhere", config=recorded))
    cell = cell_id(config | {"measure": "time_to_accuracy"})
    assert "about 3 min 11 s a seed" in duration_estimate.expect(cell, "here", []).said


def test_another_cell_says_nothing(a_run, published):
    published.append(a_run(191.0))
    assert duration_estimate.expect("d" * 16, "here", [a_run(5.0)]).said.startswith("unknown")


def test_the_published_run_is_of_the_shipped_recipe(monkeypatch):
    """A stranger's first `make bench-cifar94` is told how long it took us; a recipe that changed needs a new run."""
    native_precision.cache_clear()
    monkeypatch.setattr("bench.host.fingerprint._cpu", lambda: {"cpu_flags": ["avx512_bf16"]})
    monkeypatch.setattr(duration_estimate, "PUBLISHED", SHIPPED)
    recipe = recipes.load("cifar94", "cpu")
    _, cell = recipes.identify(recipe.config(), "cpu", "time_to_accuracy")
    assert duration_estimate.expect(cell, "elsewhere", []).said.startswith("about ")
    native_precision.cache_clear()


def test_runs_here_that_do_not_time_a_whole_run_are_of_no_other_machine(a_run, make_run):
    resumed = a_run(700.0, config={"resolved": {"resumed": [{"run_id": "r"}]}})
    without_total = make_run(cell="c" * 16, machine={"id": "here"}, metrics={"accuracy": 0.9})
    for runs in ([resumed], [without_total], [resumed, without_total]):
        expected = duration_estimate.expect("c" * 16, "here", runs)
        assert expected.total_s is None
        assert expected.said.startswith("unknown, no earlier run was timed as a whole; ")
    assert duration_estimate.expect("c" * 16, "here", [resumed, a_run(500.0, "elsewhere")]).total_s == 500.0
