"""A remembered table is never other than what decoding the file gives."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from bench.runs import table_cache
from bench.runs.frames import Frames, load
from bench.runs.run import Run
from bench.runs.store import Store, StoreError, StoreWarning
from bench.runs.tables import EpochReader, RunReader

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def _remember_small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_cache, "MIN_BYTES", 1)


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken to keep its times for good as soon as it is written."""
    monkeypatch.setattr(table_cache, "SETTLED_NS", -1)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every line that is decoded as a run."""
    lines: list[bytes] = []
    decode = RunReader.decode
    monkeypatch.setattr(RunReader, "decode", lambda self, line: [lines.append(line), decode(self, line)][1])
    return lines


def write(path: Path, runs: list[Run]) -> Path:
    path.write_bytes(b"".join(run.to_json_line() for run in runs))
    return path


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the copies are kept; it comes with the first one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "bench-to-accuracy" / "tables"


def caches_of(path: Path) -> list[Path]:
    return sorted(found for kind in ("epochs", "runs") if (found := table_cache.TableCache(path, kind).path).exists())


def assert_same(one: Frames, other: Frames) -> None:
    assert_frame_equal(one.runs, other.runs)
    assert_frame_equal(one.epochs, other.epochs)


def load_uncached(path: Path) -> Frames:
    """What decoding the whole file gives."""
    copy = path.with_name(f"copy of {path.name}")
    copy.write_bytes(path.read_bytes())
    for remembered in caches_of(copy):
        remembered.unlink()
    frames = load([copy])
    assert len(frames.epochs) >= 0
    for made in (copy, *caches_of(copy)):
        made.unlink()
    return frames


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(["a", "b", "ü", "seed", "run_id", "line"])
parts = st.dictionaries(keys, scalars | st.lists(scalars, max_size=2) | st.dictionaries(keys, scalars), max_size=3)
fields = st.fixed_dictionaries(
    {
        "config": parts,
        "machine": parts,
        "metrics": st.dictionaries(keys, st.none() | st.booleans() | st.integers() | st.floats()),
        "epochs": st.lists(st.dictionaries(keys, scalars), max_size=3),
        "reason": st.none() | st.text(max_size=5),
    },
    optional={"run_id": st.sampled_from(["twice", "thrice"])},
)


@settings(max_examples=30)
@given(st.lists(fields, max_size=4), st.lists(fields, max_size=3), st.sampled_from([b"", b"{torn", b"?\n", b"\n"]))
def test_remembered_and_decoded_agree(
    tmp_path_factory: pytest.TempPathFactory,
    make_run: MakeRun,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    damage: bytes,
) -> None:
    path = write(tmp_path_factory.mktemp("runs") / "runs.jsonl", [make_run(**each) for each in before])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        assert_same(load([path]), load([path]))
        with open(path, "ab") as file:
            file.write(b"".join(make_run(**each).to_json_line() for each in after) + damage)
        assert_same(load([path]), load_uncached(path))


@pytest.mark.usefixtures("_settled")
def test_only_what_is_new_is_decoded(tmp_path: Path, make_run: MakeRun, decoded: list[bytes]) -> None:
    store = Store(tmp_path / "runs.jsonl")
    for seed in range(3):
        store.append(make_run(seed=seed, epochs=[{"epoch": 1, "loss": seed}]))
    assert load([store.path]).epochs["loss"].tolist() == [0, 1, 2]
    assert len(decoded) == 3
    load([store.path])
    assert len(decoded) == 3
    store.append(make_run(seed=3, epochs=[{"epoch": 1, "loss": 0.5}]))
    frames = load([store.path])
    assert (len(decoded), frames.runs["seed"].tolist()) == (4, [0, 1, 2, 3])
    assert frames.epochs["loss"].tolist() == [0, 1, 2, 0.5]
    load([store.path])
    assert len(decoded) == 4


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("keep_times", [False, True])
def test_an_edited_file_is_decoded_anew(tmp_path: Path, make_run: MakeRun, keep_times: bool) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(seed=1), make_run(seed=2)])
    assert load([path]).runs["seed"].tolist() == [1, 2]
    stat = path.stat()
    with open(path, "r+b") as file:  # the same file of the same size
        text = file.read().replace(b'"seed":1', b'"seed":7')
        file.seek(0)
        file.write(text)
    if keep_times:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load([path]).runs["seed"].tolist() == [7, 2]


def test_an_edit_within_a_tick_of_the_clock_is_noticed(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the file system had not counted on: its times are the same before and after.
    stamp = table_cache.FileState.__init__

    def frozen(self: table_cache.FileState, fd: int) -> None:
        stamp(self, fd)
        self.stamp = [0]

    monkeypatch.setattr(table_cache.FileState, "__init__", frozen)
    path = write(tmp_path / "runs.jsonl", [make_run(seed=1)])
    assert load([path]).runs["seed"].tolist() == [1]
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":7'))
    assert load([path]).runs["seed"].tolist() == [7]


@pytest.mark.usefixtures("_settled")
def test_a_shorter_file_and_another_one_in_its_place(tmp_path: Path, make_run: MakeRun) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(seed=seed) for seed in range(3)])
    load([path])
    write(path, [make_run(seed=9)])
    assert load([path]).runs["seed"].tolist() == [9]
    write(other := tmp_path / "other", [make_run(seed=seed) for seed in (5, 6)])
    other.replace(path)
    assert load([path]).runs["seed"].tolist() == [5, 6]


@pytest.mark.usefixtures("_settled")
def test_a_damaged_copy_is_no_copy(tmp_path: Path, make_run: MakeRun, decoded: list[bytes]) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(seed=1), make_run(seed=2)])
    load([path])
    (remembered,) = caches_of(path)
    whole = remembered.read_bytes()
    header = whole.index(b"\n") + 1
    cuts = [whole[:end] for end in (0, 1, header - 1, header, header + 100, len(whole) - 1)]
    flips = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(header, len(whole), 97)]
    for damaged in [*cuts, *flips, b"{}\n", b"[]\n", b"null\n"]:
        remembered.write_bytes(damaged)
        decoded.clear()
        assert load([path]).runs["seed"].tolist() == [1, 2]
        assert len(decoded) == 2
    assert remembered.read_bytes() == whole


@pytest.mark.usefixtures("_settled")
def test_other_sources_decode_anew(
    tmp_path: Path, make_run: MakeRun, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run()])
    load([path])
    monkeypatch.setattr(table_cache, "_version", lambda: "another")
    load([path])
    assert len(decoded) == 2


@pytest.mark.usefixtures("_settled")
def test_a_line_that_was_left_out_is_told_each_time(tmp_path: Path, make_run: MakeRun) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(), make_run(epochs=[{"epoch": 1}])])
    path.write_bytes(path.read_bytes().replace(b'{"epoch":1}', b'{"note":"\xff"}') + b"?\n")
    for _ in range(2):
        with pytest.warns(StoreWarning, match=r"runs\.jsonl:3: left out: not a JSON object") as caught:
            frames = load([path])
        assert len(caught) == 1
        with pytest.warns(StoreWarning, match=r"runs\.jsonl:2: left out") as caught:
            assert frames.epochs.empty
        assert len(caught) == 1


def test_no_copy_where_none_can_be_written(tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "replace", refuse)
    path = write(tmp_path / "runs.jsonl", [make_run(epochs=[{"epoch": 1}])])
    for _ in range(2):
        assert len(load([path]).epochs) == 1
    assert caches_of(path) == []


@pytest.mark.usefixtures("_settled")
def test_a_copy_that_came_with_the_results_is_not_believed(tmp_path: Path, make_run: MakeRun, caches: Path) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(seed=1), make_run(seed=2)])
    load([path])
    (copy,) = caches_of(path)
    for name in (f".{path.name}.runs.cache", copy.name):
        planted = path.with_name(name)
        planted.write_bytes(copy.read_bytes().replace(b"ok", b"no"))
    copy.unlink()
    assert load([path]).runs["status"].tolist() == ["ok", "ok"]


@pytest.mark.usefixtures("_settled")
def test_copies_are_for_this_user_alone(tmp_path: Path, make_run: MakeRun, caches: Path) -> None:
    caches.mkdir(parents=True)
    caches.chmod(0o777)
    load([write(tmp_path / "runs.jsonl", [make_run()])])
    assert caches.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_is_no_copy(tmp_path: Path, make_run: MakeRun, make: Callable[[Path], None]) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(seed=3)])
    make(table_cache.TableCache(path, "runs").path)
    assert load([path]).runs["seed"].tolist() == [3]


@pytest.mark.usefixtures("_settled")
def test_a_folder_of_another_users_is_not_used(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, caches: Path, decoded: list[bytes]
) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run()])
    load([path])
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    load([path])
    assert len(decoded) == 2


def test_copies_that_nobody_reads_are_forgotten(tmp_path: Path, make_run: MakeRun, caches: Path) -> None:
    load([write(tmp_path / "old.jsonl", [make_run()])])
    (old,) = caches.iterdir()
    os.utime(old, (0, 0))
    load([write(tmp_path / "new.jsonl", [make_run()])])
    (new,) = caches.iterdir()
    assert new != old


def test_a_small_file_needs_no_copy(tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run()])
    monkeypatch.setattr(table_cache, "MIN_BYTES", path.stat().st_size + 1)
    load([path])
    assert caches_of(path) == []


def test_epochs_of_a_file_that_was_replaced_since(tmp_path: Path, make_run: MakeRun) -> None:
    path = write(tmp_path / "runs.jsonl", [make_run(epochs=[{"epoch": 1}])])
    frames = load([path])
    write(path, [make_run(epochs=[{"epoch": 1}])])
    with pytest.raises(StoreError, match="was replaced after its runs were read; load it again"):
        _ = frames.epochs


def test_runs_that_were_appended_since_have_no_epochs_yet(tmp_path: Path, make_run: MakeRun) -> None:
    store = Store(tmp_path / "runs.jsonl")
    store.append(first := make_run(epochs=[{"epoch": 1}]))
    frames = load([store.path])
    store.append(make_run(epochs=[{"epoch": 1}]))
    assert frames.epochs["run_id"].tolist() == [first.run_id]


LOADER = """
import sys, warnings
from bench.runs import table_cache
from bench.runs.frames import load
table_cache.MIN_BYTES = 1
warnings.simplefilter("error")
for _ in range(15):
    runs, epochs = load([sys.argv[1]])
    assert len(runs) == len(epochs) == runs["run_id"].nunique()
    assert runs["seed"].tolist() == list(range(len(runs)))
print(len(runs))
"""


def test_readers_and_a_writer_at_once(tmp_path: Path, make_run: MakeRun) -> None:
    store = Store(tmp_path / "runs.jsonl")
    store.append(make_run(seed=0, epochs=[{"epoch": 1}]))
    command = [sys.executable, "-c", LOADER, str(store.path)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    seed = 1
    while any(reader.poll() is None for reader in readers):
        store.append(make_run(seed=seed, epochs=[{"epoch": 1}]))
        seed += 1
    for reader in readers:
        output, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors
        assert int(output) <= seed
    assert len(load([store.path]).runs) == seed
    assert {EpochReader.kind, RunReader.kind} == {path.suffix[1:] for path in caches_of(store.path)}
