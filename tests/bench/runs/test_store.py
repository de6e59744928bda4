from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from msgspec.structs import replace

import bench.runs.run
from bench.runs import tables
from bench.runs.frames import load
from bench.runs.merging import merge
from bench.runs.run import SCHEMA, RecordError, Run
from bench.runs.store import (
    TAIL_BLOCK_BYTES,
    WARNINGS_PER_FILE,
    Store,
    StoreError,
    StoreWarning,
    each_record,
    unfinished_line,
)

MakeRun = Callable[..., Run]

# Appends runs until it is killed (or COUNT are written), and says each run's id once `append` came back.
APPENDER = """
import sys
from bench.runs.run import Run, new_run_id
from bench.runs.store import Store

store, count = Store(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
for seed in range(count):
    run = Run(
        run_id=new_run_id(), cell="c", recipe="r", seed=seed, status="ok", started_at="2026-11-20T10:00:00Z",
        log_tail=["x" * 3000],
    )
    store.append(run)
    print(run.run_id, flush=True)
"""


def start_appender(path: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_quietly(store: Store) -> list[Run]:
    """Every run, where a warning would be a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return store.read()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "runs" / "runs.jsonl")


def test_runs_are_read_in_the_order_of_writing(store: Store, make_run: MakeRun) -> None:
    assert read_quietly(store) == []
    runs = [make_run(seed=seed) for seed in range(3)]
    for run in runs:
        store.append(run)
    assert read_quietly(store) == runs


def test_appending_leaves_earlier_bytes_alone(store: Store, make_run: MakeRun) -> None:
    store.append(make_run())
    before = store.path.read_bytes()
    store.append(make_run())
    assert store.path.read_bytes().startswith(before)


def test_two_processes_lose_nothing(store: Store) -> None:
    processes = [start_appender(store.path, 200) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split()[1:] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    written = [run.run_id for run in read_quietly(store)]
    assert len(written) == 400
    assert sorted(written) == sorted(said[0] + said[1])


def test_last_line_torn_at_every_byte(store: Store, make_run: MakeRun) -> None:
    first, second, torn, after = (make_run(seed=seed) for seed in range(4))
    store.append(first)
    store.append(second)
    good, last = store.path.read_bytes(), torn.to_json_line()
    aside = store.path.with_name("runs.jsonl.torn")
    for cut in range(len(last) + 1):
        store.path.write_bytes(good + last[:cut])
        aside.unlink(missing_ok=True)
        is_whole = cut >= len(last) - 1  # without its newline a record is still whole
        kept = [first, second, torn] if is_whole else [first, second]
        damaged = cut > 0 and not is_whole
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert store.read() == kept
        assert [str(w.message).split(" ")[0] for w in caught] == [f"{store.path}:3:"] * damaged
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            store.append(after)
        assert len(caught) == damaged
        assert read_quietly(store) == [*kept, after]
        assert (aside.read_bytes() if damaged else b"") == (last[:cut] + b"\n" if damaged else b"")


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_while_appending(store: Store, make_run: MakeRun, seed: int) -> None:
    process = start_appender(store.path, 1_000_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0.05, 0.4))
    process.send_signal(signal.SIGKILL)
    confirmed = [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait(timeout=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        store.append(make_run(run_id="after"))
    written = [run.run_id for run in read_quietly(store)]
    assert written[-1] == "after"
    assert confirmed
    # The last one may be on the disk although the process was killed before it could say so.
    assert written[: len(confirmed)] == confirmed
    assert len(written) - len(confirmed) in (1, 2)


def test_a_corrupt_line_is_named_and_the_rest_is_read(store: Store, make_run: MakeRun) -> None:
    first, second = make_run(), make_run()
    lines = [first.to_json_line(), b'{"schema":1,"run_id":\xff}\n', b"\n", second.to_json_line()]
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(b"".join(lines))
    with pytest.warns(StoreWarning, match=rf"{store.path}:2: left out: not a JSON object") as caught:
        assert store.read() == [first, second]
    assert len(caught) == 1


def test_many_corrupt_lines_are_counted_not_recited(store: Store) -> None:
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(b"?\n" * 1000)
    with pytest.warns(StoreWarning) as caught:
        assert store.read() == []
    assert len(caught) == WARNINGS_PER_FILE + 1
    assert f"{1000 - WARNINGS_PER_FILE} more lines" in str(caught[-1].message)


def test_a_newer_record_is_left_where_it_is(store: Store, make_run: MakeRun) -> None:
    newer = make_run().to_json_line().replace(b'"schema":1', b'"schema":%d' % (SCHEMA + 1))
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(newer.rstrip(b"\n"))
    run = make_run()
    store.append(run)
    assert store.path.read_bytes() == newer + run.to_json_line()
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out: written by a newer version"):
        assert store.read() == [run]


def test_the_runs_of_some_cells(store: Store, make_run: MakeRun) -> None:
    assert store.read(["a"]) == []
    runs = [make_run(cell=cell) for cell in ("a", "b", "ü", 'qu"ote', "a")]
    for run in runs:
        store.append(run)
    assert store.read({"a"}) == [runs[0], runs[4]]
    assert store.read(["ü", "b"]) == [runs[1], runs[2]]
    assert store.read({'qu"ote', "absent"}) == [runs[3]]
    assert store.read(()) == []


def test_the_runs_of_a_cell_in_a_file_that_others_wrote(store: Store, make_run: MakeRun) -> None:
    wanted, other = make_run(cell="a"), make_run(cell="b")
    store.path.parent.mkdir(parents=True)
    lines = []
    for run in (wanted, other):
        # Keys in another order, white space, escapes.
        record = json.loads(run.to_json_line())
        lines.append(json.dumps({"cell": record.pop("cell")} | record, indent=None).encode() + b"\n")
    store.path.write_bytes(b"".join(lines) + b'{"run_id":"x","cell":"a",\n{"run_id":"y","cell":"b",\n')
    with pytest.warns(StoreWarning, match=r":3: left out") as caught:
        assert store.read({"a"}) == [wanted]
    assert len(caught) == 1


def test_an_older_schema_is_migrated_wherever_it_is_read(
    store: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if this version had schema 2, in which `workload` was renamed to `recipe`, with a step from 1."""

    def step(record: dict[str, Any]) -> dict[str, Any]:
        return {"recipe" if key == "workload" else key: value for key, value in record.items()}

    monkeypatch.setattr(bench.runs.run, "SCHEMA", 2)
    monkeypatch.setattr(tables, "SCHEMA", 2)
    monkeypatch.setattr(bench.runs.run.migrate, "__defaults__", (2, (step,)))
    old = make_run(schema=1, metrics={"loss": float("inf")}, epochs=[{"epoch": 1}])
    new = make_run(schema=2)
    store.path.parent.mkdir(parents=True)
    written = replace(old, schema=2).to_json_line()
    line = written.replace(b'"schema":2', b'"schema":1').replace(b'"recipe":', b'"workload":')
    store.path.write_bytes(line)
    store.append(new)
    assert store.path.read_bytes().startswith(line)
    assert read_quietly(store) == [replace(old, schema=2), new]
    assert store.read({old.cell}) == read_quietly(store)
    runs, epochs = load([store.path])
    assert runs[["recipe", "schema"]].values.tolist() == [["digits", 2]] * 2
    assert runs["loss"].tolist()[0] == float("inf")
    assert epochs["run_id"].tolist() == [old.run_id]
    elsewhere = Store(store.path.with_name("elsewhere.jsonl"))
    merge(elsewhere, [store.path])
    assert read_quietly(elsewhere) == read_quietly(store)


def test_a_run_that_is_there_twice_counts_once(store: Store, make_run: MakeRun) -> None:
    run = make_run()
    store.append(run)
    store.append(run)
    assert read_quietly(store) == [run]


def test_check_writable_makes_the_folder_and_leaves_no_probe(store: Store) -> None:
    store.check_writable(100_000)
    assert sorted(path.name for path in store.path.parent.iterdir() if path.stat().st_size) == []
    assert store.path.exists()


@pytest.mark.parametrize("below", ["runs.jsonl", "runs/runs.jsonl", "deep/runs/runs.jsonl"])
def test_a_file_where_the_folder_should_be(tmp_path: Path, make_run: MakeRun, below: str) -> None:
    (tmp_path / "results").write_text("in the way")
    store = Store(tmp_path / "results" / below)
    assert store.read() == []
    for write in (lambda: store.check_writable(1), lambda: store.append(make_run())):
        with pytest.raises(StoreError, match=r"cannot be written.*--results") as caught:
            write()
        assert caught.value.exit_code == 3


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a tmpfs with the given options; skips where this user may not."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount_tmpfs(*options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a tmpfs needs root")
        return folder

    yield mount_tmpfs
    while os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(mount: Callable[..., Path], make_run: MakeRun) -> None:
    folder = mount("size=64k")
    store = Store(folder / "runs" / "runs.jsonl")
    with pytest.raises(StoreError, match=r"No space left.*make room"):
        store.check_writable(1 << 20)
    store.check_writable(4096)
    kept: list[Run] = []

    def fill() -> None:
        while len(kept) < 100:
            run = make_run(log_tail=["x" * 3000])
            store.append(run)
            kept.append(run)

    with pytest.raises(StoreError, match="No space left"):
        fill()
    assert 10 < len(kept) < 22
    assert store.path.read_bytes() == b"".join(run.to_json_line() for run in kept)
    assert read_quietly(store) == kept
    # A torn line that cannot be set aside for want of room stays where it is.
    with open(store.path, "ab") as file:
        file.write(b'{"schema":1,')
    with pytest.raises(StoreError, match="No space left"):
        store.append(make_run())
    assert store.path.read_bytes().endswith(b'\n{"schema":1,')
    subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
    with pytest.warns(StoreWarning, match="torn"):
        store.append(last := make_run())
    assert read_quietly(store) == [*kept, last]


def test_read_only_folder(mount: Callable[..., Path], make_run: MakeRun) -> None:
    folder = mount("size=1m")
    store = Store(folder / "runs" / "runs.jsonl")
    store.append(run := make_run())
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert read_quietly(store) == [run]
    for write in (lambda: store.check_writable(1), lambda: store.append(make_run())):
        with pytest.raises(StoreError, match=r"Read-only file system.*--results"):
            write()


def test_a_write_that_stops_half_way_is_undone(store: Store) -> None:
    # RLIMIT_FSIZE makes the kernel write the part that fits, as a full disk does.
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n{APPENDER}"
    command = [sys.executable, "-c", limited, str(store.path), "10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "StoreError: results cannot be written" in done.stderr
    confirmed = done.stdout.split()[1:]
    assert confirmed
    assert [run.run_id for run in read_quietly(store)] == confirmed
    assert store.path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("name", ["link.jsonl", "folder/runs.jsonl"])
def test_a_store_of_several_names_has_one_lock(tmp_path: Path, make_run: MakeRun, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.jsonl").symlink_to("real/runs.jsonl")
    (tmp_path / "folder").symlink_to("real")
    store, other = Store(tmp_path / "real" / "runs.jsonl"), Store(tmp_path / name)
    other.append(make_run(seed=0))
    held = FileLock(tmp_path / "real" / "runs.jsonl.lock")
    with held, pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.runs.store.LOCK_TIMEOUT_S", 0.01)
        for one in (store, other):
            with pytest.raises(StoreError, match="another process has held its lock"):
                one.append(make_run())
    store.append(make_run(seed=1))
    assert [run.seed for run in other.read()] == [0, 1]


def test_nothing_is_lost_by_writers_that_know_a_store_by_other_names(tmp_path: Path, make_run: MakeRun) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a.jsonl").symlink_to("real/runs.jsonl")
    (tmp_path / "b").symlink_to("real")
    names = [tmp_path / "real" / "runs.jsonl", tmp_path / "a.jsonl", tmp_path / "b" / "runs.jsonl"]
    lines = [make_run(seed=seed) for seed in range(60)]
    writers = [
        threading.Thread(target=lambda at=at: [Store(names[at]).append(run) for run in lines[at::3]]) for at in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(run.seed for run in Store(names[0]).read()) == list(range(60))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_no_store(tmp_path: Path, make_run: MakeRun, make: Callable[[Path], None]) -> None:
    make(path := tmp_path / "runs.jsonl")
    store = Store(path)
    with pytest.raises(StoreError, match=r"runs\.jsonl: (not a regular file|Is a directory)"):
        list(each_record(path, Run.from_json_line))
    with pytest.raises(StoreError, match=r"not a regular file|Is a directory"):
        store.append(make_run())
    with pytest.raises(StoreError, match=r"not a regular file|Is a directory"):
        store.check_writable(10)


class _Joined(bytes):
    """Bytes that count what is copied where they are joined by `+`."""

    copied = 0

    def __getitem__(self, at: Any) -> Any:
        return _Joined(super().__getitem__(at))

    def __add__(self, other: Any) -> Any:
        _Joined.copied += len(self) + len(other)
        return _Joined(bytes(self) + bytes(other))


def test_no_block_of_a_torn_tail_is_copied_once_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, blocks = tmp_path / "runs.jsonl", 40
    path.write_bytes(b"{}\n" + b"x" * (blocks * TAIL_BLOCK_BYTES))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: _Joined(pread(*arguments)))
    with path.open("rb") as file:
        tail = unfinished_line(file.fileno(), path.stat().st_size)
    assert tail == b"x" * (blocks * TAIL_BLOCK_BYTES)
    assert _Joined.copied <= 2 * len(tail)


POISON = {
    "a span without an end": lambda record: record["spans"].append({"name": "train", "start_s": 0.0}),
    "a span that is a list": lambda record: record["spans"].append([1]),
    "a span whose time is text": lambda record: record["spans"].append({"name": "a", "start_s": "0", "end_s": 1}),
    "an epoch's accuracy as text": lambda record: record["epochs"].append({"epoch": 1, "accuracy": "z"}),
    "an epoch's number as truth": lambda record: record["epochs"].append({"epoch": True}),
    "a machine of a list": lambda record: record["machine"].update(id=[1]),
    "a commit of a number": lambda record: record["code"].update(commit=7),
    "a data set of an object": lambda record: record["data"].update(name={"a": 1}),
    "a model without an object": lambda record: record["config"].update(model=3),
    "a level of text": lambda record: record["config"].update(evaluation={"tta": "two"}),
    "a metric of truth": lambda record: record["metrics"].update(total_s=True),
    "a truth of a number": lambda record: record["metrics"].update(contended=5),
    "a metric beyond any float": lambda record: record["metrics"].update(steps=10**400),
    "a day that no calendar has": lambda record: record.update(started_at="2026-02-30T10:00:00Z"),
    "a start of a list": lambda record: record["config"].update(resolved={"start": [1]}),
    "a memory of text": lambda record: record["machine"].update(memory_bytes="much"),
    "an author of a number": lambda record: record["config"].update(imported={"author": 5}),
    "a target of text": lambda record: record["config"].update(target_accuracy="high"),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_poisoned_line_is_set_aside_and_named(
    tmp_path: Path, make_run: MakeRun, poison: Callable[[dict[str, Any]], None]
) -> None:
    record = json.loads(make_run(seed=1).to_json_line())
    poison(record)
    path = tmp_path / "runs.jsonl"
    path.write_bytes(json.dumps(record).encode() + b"\n" + make_run(seed=2).to_json_line())
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out: not a run of schema 1"):
        assert [run.seed for run in Store(path).read()] == [2]
    with pytest.warns(StoreWarning, match=r"runs\.jsonl:1: left out: not a run of schema 1"):
        assert load([path]).runs["seed"].tolist() == [2]
    with pytest.raises(RecordError):
        Run.from_dict(record)


@pytest.mark.parametrize("opening", [b'{"a":', b"[", b'{"run_id":"a","config":{"a":'])
def test_a_line_of_endless_depth_is_set_aside(tmp_path: Path, make_run: MakeRun, opening: bytes) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(opening * 100_000 + b"\n" + make_run(seed=2).to_json_line() + opening * 100_000)
    with pytest.warns(StoreWarning, match="left out"):
        assert [run.seed for run in Store(path).read()] == [2]
    with pytest.warns(StoreWarning, match="left out"):
        assert load([path]).runs["seed"].tolist() == [2]
