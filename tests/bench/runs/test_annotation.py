"""What is said of a run after it was recorded, through stores, merging, frames and crashes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.runs.annotation import SCHEMA, Annotation, Remarks, is_annotation
from bench.runs.copying import copy_runs
from bench.runs.frames import load
from bench.runs.merging import ConflictError, Merged, merge
from bench.runs.run import RecordError, Run, new_run_id
from bench.runs.store import Store, StoreWarning, read_all_runs
from bench.runs.table_cache import MIN_BYTES
from tests.bench.runs.test_store import start_appender

MakeRun = Callable[..., Run]
# Appends annotations of a run until it has written COUNT, and says each id once it is on the disk.
ANNOTATOR = """
import sys
from bench.runs.annotation import SCHEMA, Annotation
from bench.runs.run import new_run_id
from bench.runs.store import Store

store, run_id, count = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    said = Annotation(annotates=run_id, id=new_run_id(), schema=SCHEMA, tags=[f"t{number}"])
    store.extend(lambda: [said.to_json_line()])
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "runs" / "runs.jsonl")


def said_of(run: Run, **fields: object) -> Annotation:
    return Annotation(annotates=run.run_id, id=new_run_id(), schema=SCHEMA, **fields)


def append(store: Store, *annotations: Annotation) -> None:
    store.extend(lambda: [one.to_json_line() for one in annotations])


def quietly(store: Store) -> list[Run]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return store.read()


def test_a_run_is_read_with_what_was_said_of_it_and_its_line_stays(store: Store, make_run: MakeRun) -> None:
    run, other = make_run(tags=["first"], machine={"id": "m"}), make_run()
    store.append(run)
    store.append(other)
    before = store.path.read_bytes()
    append(
        store,
        said_of(run, invalid="the fan failed", tags=["second"], note="room 7"),
        said_of(run, untag=["first"], machine_label="lab A"),
    )
    read, untouched = quietly(store)
    assert (read.status, read.reason) == ("invalid", "declared invalid: the fan failed")
    assert (read.tags, read.notes, read.machine) == (["second"], ["room 7"], {"id": "m", "label": "lab A"})
    assert untouched == other
    assert store.path.read_bytes().startswith(before)
    assert [one.status for one in store.read({run.cell})] == ["invalid", "ok"]


def test_the_last_word_counts(store: Store, make_run: MakeRun) -> None:
    run = make_run()
    store.append(run)
    append(store, said_of(run, invalid="busy"), said_of(run, valid=True, note="it was another one"))
    (read,) = quietly(store)
    assert (read.status, read.reason, read.notes) == ("ok", None, ["it was another one"])


def test_the_frame_says_the_same_as_the_runs(store: Store, make_run: MakeRun) -> None:
    run, other = make_run(tags=["a", "b"], machine={"id": "m"}), make_run()
    for one in (run, other):
        store.append(one)
    append(store, said_of(run, invalid="busy", tags=["c"], untag=["a"], note="one, two", machine_label="lab A"))
    runs = load(results=store.path.parents[1]).runs
    read = runs.loc[0, ["status", "reason", "tags", "notes", "machine.label"]].tolist()
    assert read == ["invalid", "declared invalid: busy", "b, c", "one, two", "lab A"]
    assert runs.loc[1, "status"] == "ok"
    assert pd.isna(runs.loc[1, "tags"])


def test_a_cached_store_notices_what_is_said_later(store: Store, make_run: MakeRun) -> None:
    runs = [make_run(seed=seed, log_tail=["x" * 4000]) for seed in range(MIN_BYTES // 4000 + 1)]
    store.extend(lambda: [run.to_json_line() for run in runs])
    results = store.path.parents[1]
    for position, count in ((0, 1), (-1, 2)):
        assert (load(results=results).runs["status"] == "invalid").sum() == count - 1
        append(store, said_of(runs[position], invalid="busy"))
        frames = load(results=results)
        assert (frames.runs["status"] == "invalid").sum() == count
        assert len(frames.runs) == len(runs)
    assert len(load(results=results).epochs) == 0


def test_it_may_stand_in_another_file_and_before_its_run(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    append(Store(tmp_path / "a.jsonl"), said_of(run, tags=["t"]))
    Store(tmp_path / "b.jsonl").append(run)
    assert read_all_runs([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])[0].tags == ["t"]


def test_it_is_merged_once_and_with_the_run(store: Store, make_run: MakeRun, tmp_path: Path) -> None:
    run, here = make_run(), make_run()
    store.append(here)
    other = Store(tmp_path / "other.jsonl")
    other.append(run)
    said = [said_of(run, invalid="busy"), said_of(here, tags=["t"])]
    append(other, *said)
    assert merge(store, [other.path]) == [Merged(other.path, 1, 0, (), 2)]
    assert merge(store, [other.path]) == [Merged(other.path, 0, 1, (), 0)]
    assert [(one.status, one.tags) for one in quietly(store)] == [("ok", ["t"]), ("invalid", [])]
    other.path.write_bytes(said[0].to_json_line().replace(b"busy", b"slow"))
    with pytest.raises(ConflictError, match=said[0].id):
        merge(store, [other.path])


def test_runs_are_copied_as_they_are_with_what_was_said_of_them(
    store: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run, left = make_run(), make_run()
    for one in (run, left):
        store.append(one)
    said = said_of(run, note="kept")
    append(store, said, said_of(left, note="left"))
    assert copy_runs([store.path], {run.run_id}, tmp_path / "copy.jsonl") == 1
    assert (tmp_path / "copy.jsonl").read_bytes() == run.to_json_line() + said.to_json_line()


@pytest.mark.parametrize("kept", [5, 30, -1])
def test_a_torn_one_costs_nothing_else(store: Store, make_run: MakeRun, kept: int) -> None:
    run = make_run()
    store.append(run)
    line = said_of(run, invalid="busy").to_json_line()
    torn = line[:kept] if kept > 0 else line[:-2]
    with store.path.open("ab") as file:
        file.write(torn)
    with pytest.warns(StoreWarning, match="torn by a crash") as told:
        (read,) = store.read()
    assert (len(told), read.status) == (1, "ok")
    with pytest.warns(StoreWarning, match="were moved to"):
        append(store, said_of(run, tags=["t"]))
    assert quietly(store)[0].tags == ["t"]


def test_one_that_lacks_only_its_newline_counts(store: Store, make_run: MakeRun) -> None:
    run = make_run()
    store.append(run)
    with store.path.open("ab") as file:
        file.write(said_of(run, tags=["t"]).to_json_line().rstrip(b"\n"))
    append(store, said_of(run, tags=["u"]))
    assert quietly(store)[0].tags == ["t", "u"]


def test_writers_at_once_lose_nothing(store: Store, make_run: MakeRun) -> None:
    run, count = make_run(), 20
    store.append(run)
    arguments = [sys.executable, "-c", ANNOTATOR, str(store.path), run.run_id, str(count)]
    writers = [subprocess.Popen(arguments) for _ in range(2)] + [start_appender(store.path, count)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    runs = quietly(store)
    assert len(runs) == count + 1
    assert set(runs[0].tags) == {f"t{number}" for number in range(count)}
    assert store.path.read_bytes().count(b'{"annotates"') == 2 * count


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"annotates":"x","id":"y","schema":2,"verdict":1}', "written by a newer version"),
        (b'{"annotates":"x","id":"y","schema":1,"invald":"z"}', "unknown field `invald`"),
        (b'{"annotates":"x","id":"y"}', "missing required field `schema`"),
        (b'{"annotates":1,"id":"y","schema":1}', "Expected `str`"),
    ],
)
def test_a_damaged_one_is_named_and_left_out(store: Store, make_run: MakeRun, line: bytes, what: str) -> None:
    with pytest.raises(RecordError, match=what):
        Annotation.from_json_line(line)
    store.append(make_run())
    with store.path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.warns(StoreWarning, match=rf"runs.jsonl:2: left out: .*{what}"):
        assert len(store.read()) == 1


def test_it_is_known_by_its_first_key_however_it_is_written() -> None:
    line = Annotation(annotates="x", id="y", schema=1, tags=["t"]).to_json_line()
    for written in (line, b"\xef\xbb\xbf" + line, line.replace(b'":', b'" : ').replace(b"{", b" {  ")):
        assert is_annotation(written)
        assert Annotation.from_json_line(written).tags == ["t"]
    assert not is_annotation(b'{"run_id":"annotates"}')


def test_remarks_follow_each_other() -> None:
    first = Remarks(None, ("a",), ("n",))
    after = first.and_then(Annotation(annotates="x", id="1", schema=1, tags=["a", "b"], note="n", invalid="why"))
    assert after == Remarks("why", ("a", "b"), ("n",))
    assert after.and_then(Annotation(annotates="x", id="2", schema=1, valid=True)).invalid is None
