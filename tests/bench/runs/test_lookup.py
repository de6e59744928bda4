import pytest

from bench.errors import UsageError
from bench.runs.lookup import find_runs
from bench.runs.store import Store, StoreError


@pytest.fixture
def results(make_run, tmp_path):
    store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
    for seed, run_id in enumerate(("2026a", "2026b", "2027a")):
        store.append(make_run(run_id=run_id, seed=seed))
    return tmp_path / "results"


def ids(runs):
    return [run.run_id for run in runs]


def test_the_beginning_of_an_id_is_enough(results):
    assert ids(find_runs(["2027", "2026b"], results)) == ["2027a", "2026b"]


def test_a_run_that_is_meant_twice_counts_once(results):
    assert ids(find_runs(["2027", "2027a"], results)) == ["2027a"]


def test_a_file_or_a_folder_means_all_its_runs(results, tmp_path):
    assert ids(find_runs([str(results / "runs" / "runs.jsonl")], tmp_path)) == ["2026a", "2026b", "2027a"]
    assert ids(find_runs([str(results / "runs")], tmp_path)) == ["2026a", "2026b", "2027a"]


def test_an_ambiguous_beginning_names_the_candidates(results):
    with pytest.raises(UsageError, match=r"(?s)'2026' is the beginning of 2 run ids.*2026a  digits, seed 0.*2026b"):
        find_runs(["2026"], results)


def test_many_candidates_are_counted(make_run, tmp_path):
    store = Store(tmp_path / "runs" / "runs.jsonl")
    for number in range(12):
        store.append(make_run(run_id=f"x{number:02}"))
    with pytest.raises(UsageError, match=r"beginning of 12 run ids.*(?s:.)*and 4 more"):
        find_runs(["x"], tmp_path)


@pytest.mark.parametrize("reference", ["2028", ""])
def test_an_id_that_is_not_there_is_refused(reference, results):
    with pytest.raises(UsageError, match=r"no run in .*runs has an id that begins with"):
        find_runs([reference], results)


def test_missing_and_empty_files_are_refused(results, tmp_path):
    with pytest.raises(StoreError, match=r"no results at .*none\.jsonl"):
        find_runs([str(tmp_path / "none.jsonl")], results)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UsageError, match="no run in it"):
        find_runs([str(tmp_path / "empty.jsonl")], results)
    with pytest.raises(UsageError, match="no run"):
        find_runs(["2026"], tmp_path / "nowhere")


def test_every_command_takes_last_and_the_digits_that_a_table_shows(make_run, tmp_path):
    store = Store(tmp_path / "runs" / "runs.jsonl")
    for hour, digits in enumerate(("aaaa1111", "bbbb2222", "cccc3333")):
        # The file has not to be in order of time.
        begun = f"2026112{3 - hour}T100000.000000Z"
        store.append(make_run(run_id=f"{begun}-{digits}", started_at=f"2026-11-2{3 - hour}T10:00:00Z"))
    shown = ["20261122T100000.000000Z-bbbb2222", "20261123T100000.000000Z-aaaa1111"]
    assert ids(find_runs(["bbbb", "last"], tmp_path)) == shown
    for none in ("2222", "lasting", "-", ""):
        with pytest.raises(UsageError, match="no run in"):
            find_runs([none], tmp_path)


def test_an_id_in_full_is_meant_though_others_begin_with_it(make_run, tmp_path):
    store = Store(tmp_path / "runs" / "runs.jsonl")
    for run_id in ("a", "ab"):
        store.append(make_run(run_id=run_id))
    assert ids(find_runs(["a"], tmp_path)) == ["a"]


def test_last_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no run in"):
        find_runs(["last"], tmp_path)
