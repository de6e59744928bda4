from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.runs import merging
from bench.runs.merging import CONFLICTS_NAMED, ConflictError, Merged, merge
from bench.runs.run import Run
from bench.runs.store import Store, StoreError, StoreWarning

MakeRun = Callable[..., Run]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "here" / "runs.jsonl")


def filled(path: Path, *runs: Run) -> Path:
    for run in runs:
        Store(path).append(run)
    return path


def test_what_is_new_is_taken_once(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    common, elsewhere, alone = make_run(), make_run(), make_run(metrics={"loss": float("nan")})
    filled(store.path, common)
    one = filled(tmp_path / "a" / "1.jsonl", common, elsewhere)
    two = filled(tmp_path / "b.jsonl", common, elsewhere, alone)
    expected = [Merged(one, 1, 1), Merged(two, 1, 2)]
    assert merge(store, [tmp_path / "a", two], dry_run=True) == expected
    assert [run.run_id for run in store.read()] == [common.run_id]
    assert merge(store, [tmp_path / "a", two]) == expected
    assert store.path.read_bytes() == b"".join(run.to_json_line() for run in (common, elsewhere, alone))
    assert [one.new for one in merge(store, [tmp_path / "a", two, store.path])] == [0, 0, 0]


def test_a_results_folder_is_its_runs_and_an_empty_one_is_a_mistake(
    store: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    file = filled(tmp_path / "results" / "runs" / "runs.jsonl", make_run())
    assert merge(store, [tmp_path / "results"]) == [Merged(file, 1, 0)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"no .jsonl files in .*empty, nor in a folder runs below it"):
        merge(store, [tmp_path / "empty"])


def test_a_dry_run_makes_nothing(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    source = filled(tmp_path / "a.jsonl", make_run())
    assert merge(store, [source], dry_run=True) == [Merged(source, 1, 0)]
    assert not store.path.parent.exists()


def test_equal_runs_in_other_words_are_no_conflict(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(metrics={"loss": float("nan")})
    filled(store.path, run)
    (source := tmp_path / "a.jsonl").write_bytes(b" " + run.to_json_line().replace(b'":', b'": ').rstrip(b"\n"))
    assert merge(store, [source]) == [Merged(source, 0, 1)]


@pytest.mark.parametrize("where", ["store", "files", "one file"])
def test_different_runs_of_one_id_are_refused(store: Store, make_run: MakeRun, tmp_path: Path, where: str) -> None:
    run = make_run(metrics={"accuracy": 0.9})
    other = make_run(run_id=run.run_id, metrics={"accuracy": 0.91})
    filled(store.path, run if where == "store" else make_run())
    before = store.path.read_bytes()
    one = filled(tmp_path / "1.jsonl", make_run(), other if where == "store" else run)
    two = filled(one if where == "one file" else tmp_path / "2.jsonl", make_run(), other)
    with pytest.raises(ConflictError, match=rf"nothing was merged.*{run.run_id} in {tmp_path}.* and in {tmp_path}"):
        merge(store, [one, two] if two != one else [one])
    assert store.path.read_bytes() == before


def test_of_many_conflicts_some_are_named(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(seed=1) for _ in range(CONFLICTS_NAMED + 3)]
    filled(store.path, *runs)
    source = filled(tmp_path / "a.jsonl", *(make_run(run_id=run.run_id, seed=2) for run in runs))
    with pytest.raises(ConflictError, match=", and 3 more"):
        merge(store, [source])


def test_a_damaged_line_of_the_store_does_not_keep_the_whole_one_out(
    store: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run()
    source = filled(tmp_path / "a.jsonl", run)
    store.path.parent.mkdir()
    store.path.write_bytes(run.to_json_line()[:-20] + b"\n")
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out"):
        assert merge(store, [source]) == [Merged(source, 1, 0)]
    with pytest.warns(StoreWarning):
        assert store.read() == [run]


def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_taken(
    store: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    source = filled(tmp_path / "a.jsonl", run := make_run())
    source.write_bytes(b"?\n" + source.read_bytes())
    with pytest.warns(StoreWarning, match=r"a\.jsonl:1: left out"):
        merge(store, [source])
    assert store.read() == [run]


def test_a_run_whose_numbers_cannot_be_is_taken_and_named(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    doubtful = make_run(metrics={"accuracy": 2.0})
    source = filled(tmp_path / "a.jsonl", make_run(), doubtful)
    (merged,) = merge(store, [source])
    assert (merged.new, len(merged.impossible)) == (2, 1)
    assert doubtful.run_id in merged.impossible[0]
    assert "should be from 0 to 1" in merged.impossible[0]
    assert merge(store, [source])[0].impossible == ()


def test_a_path_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no results at .*nowhere"):
        merge(store, [tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["<(gunzip -c a.gz)", "- < <(gunzip -c a.gz)", "/dev/stdin < a", "- < a"])
def test_what_comes_through_a_pipe_that_a_shell_opened_is_taken(name: str, make_run: MakeRun, tmp_path: Path) -> None:
    file = filled(tmp_path / "a", make_run())
    (tmp_path / "a.gz").write_bytes(gzip.compress(file.read_bytes()))
    script = (
        "import sys; from pathlib import Path; "
        "from bench.runs.merging import merge; from bench.runs.store import Store; "
        "print([one.new for one in merge(Store('here/runs.jsonl'), map(Path, sys.argv[1:]))])"
    )
    command = ["bash", "-c", f'"{sys.executable}" -c "$0" {name}', script]
    environment = os.environ | {"PYTHONPATH": str(Path(bench.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[1]", 0), done.stderr


def test_a_named_pipe_and_an_endless_one_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        merge(store, [tmp_path / "pipe"])
    monkeypatch.setattr(merging, "MOST_PIPED_BYTES", 10)
    end, other = os.pipe()
    os.write(other, b"x" * 11)
    with pytest.raises(StoreError, match="save them as a file"):
        merge(store, [Path(f"/dev/fd/{end}")])
    os.close(end)
    os.close(other)
