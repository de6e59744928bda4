import pytest

from bench.errors import MissingError, UsageError
from bench.runs import weights
from bench.runs.store import Store


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def stored(results, make_run):
    """A run whose record has these weights, and their file."""

    def store(run_id="20261121T000001.000000Z-0123abcd", keeps=True):
        path = weights.place_of(run_id, results)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(run_id.encode())
        kept = {"file": f"runs/weights/{path.name}", "sha256": weights.find(str(path), results).sha256}
        config = {"resolved": {"kept_weights": kept} if keeps else {}}
        Store(results / "runs" / "runs.jsonl").append(make_run(run_id=run_id, config=config))
        return path

    return store


def refusal(reference, results) -> str:
    with pytest.raises(UsageError) as caught:
        weights.find(str(reference), results)
    assert str(caught.value).startswith(f"--weights {reference}: ")
    return str(caught.value)


def test_a_run_or_a_file_means_the_same(stored, results):
    path = stored()
    by_run, by_file = weights.find("20261121T000001", results), weights.find(str(path), results)
    assert by_run == by_file
    assert by_run.path == path
    assert by_run.identity == by_run.sha256[:16]


def test_a_reference_to_nothing_is_refused(stored, results):
    assert "no such file" in refusal("nothing.pt", results)
    stored()
    assert "no run in" in refusal("2025", results)


def test_a_run_without_weights_says_how_to_keep_them(stored, results):
    stored(keeps=False)
    assert "kept no weights; train with --keep-weights" in refusal("2026", results)


def test_several_runs_are_not_one(stored, results):
    stored()
    stored("20261121T000002.000000Z-0123abcd")
    assert "2 run ids" in refusal("2026", results)
    assert "these are 2 runs" in refusal(results / "runs", results)


def test_weights_that_are_gone_or_changed_are_refused(stored, results):
    path = stored()
    path.write_bytes(b"other")
    assert "was changed since run 20261121T000001" in refusal("2026", results)
    path.unlink()
    assert "is gone" in refusal("2026", results)


def test_a_place_that_cannot_be_made_is_told_before_the_training(results):
    results.write_text("in the way")
    with pytest.raises(MissingError, match=r"--keep-weights: .*cannot be made"):
        weights.make_room(results)
