"""What a sweep keeps when it is killed at random moments, and when the disk is full.

`BENCH_KILLS=10 pytest tests/bench/cli/commands/test_kill.py -s -o timeout=3600` does it ten times in each way, and
prints the counts.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.runs.store import Store
from tests.bench.cli.commands.sweeping import wait_for_workers
from tests.command import TIMEOUT_S, bench, read_until, records, start
from tests.processes import left_after

KILLS = int(os.environ.get("BENCH_KILLS", "1"))
# About two runs a round, and some for the sweep that ends it.
SEEDS = KILLS + 1
MATRIX = f"""
recipe: digits
set: {{epochs: 0.5, target_accuracy: null}}
axes: {{model.width: [4, 8]}}
seeds: {SEEDS}
"""
ALL = 2 * SEEDS
# A run takes about as long.
RUN_S = 0.4

pytestmark = pytest.mark.slow


@pytest.fixture
def moments() -> random.Random:
    return random.Random(os.environ.get("BENCH_KILL_SEED", "0"))


def let_run(process: subprocess.Popen[str], begun: int, moments: random.Random) -> None:
    """Until a random moment after so many runs have begun, which may be in any phase of one; 0 is while it starts."""
    if begun:
        read_until(process, f"run {begun} of|Recorded")
    time.sleep(moments.uniform(0, RUN_S if begun else 3.0))


def kill_and_wait(process: subprocess.Popen[str]) -> None:
    """kill -9, and no process of it is left."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    assert left_after(TIMEOUT_S, family) == []


def check(folder: Path, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows now: those of before as they were, and no damaged one."""
    now = records(folder)  # raises where a line is no JSON
    assert now[: len(before)] == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Store(folder / "results" / "runs" / "runs.jsonl").read()) == len(now)
    return now


def check_complete(folder: Path, before: list[dict[str, Any]], code: int, said: str) -> None:
    """Resumed, the sweep ends with nothing left to do, and nothing lost."""
    assert code == 0, said
    check(folder, before)
    check_good(folder)


def check_good(folder: Path) -> None:
    """Every cell and seed has a good row, exactly once."""
    good = Counter((row["cell"], row["seed"]) for row in records(folder) if row["status"] == "ok")
    assert len(good) == ALL
    assert set(good.values()) == {1}


def report(what: str, **counts: Any) -> None:
    print(f"\n{what}: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))


def test_the_runner_is_killed(here, tmp_path, moments):
    (tmp_path / "mine.yaml").write_text(MATRIX)
    started_s, rows, known = time.monotonic(), [], []
    for begun in itertools.islice(itertools.cycle((2, 0, 3, 1)), KILLS):
        process = start("sweep", "mine.yaml", cwd=tmp_path)
        let_run(process, begun, moments)
        kill_and_wait(process)
        known = check(tmp_path, known)
        rows.append(len(known))
    assert rows[-1] < ALL, "nothing was left for the kills to lose"
    resumed = here(tmp_path, "sweep", "mine.yaml")
    check_complete(tmp_path, known, resumed.code, resumed.out + resumed.err)
    report("runner killed", rounds=KILLS, rows_after_each=rows, of=ALL, seconds=round(time.monotonic() - started_s))


def test_workers_are_killed_and_rerun_failed_repairs(here, tmp_path, moments):
    (tmp_path / "mine.yaml").write_text(MATRIX)
    started_s = time.monotonic()
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    killed: set[int] = set()
    while len(killed) < KILLS and process.poll() is None:
        worker = wait_for_workers(process)[0]
        time.sleep(moments.uniform(0, RUN_S / 2))
        if worker.pid not in killed and worker.is_running():
            worker.kill()
            killed.add(worker.pid)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, output
    known = check(tmp_path, [])
    assert len(known) == ALL
    statuses = Counter(row["status"] for row in known)
    # One that was killed after its last word has said everything.
    assert 1 <= statuses["crashed"] <= len(killed)
    assert statuses["ok"] + statuses["crashed"] == ALL
    repaired = here(tmp_path, "sweep", "mine.yaml", "--rerun", "failed")
    assert repaired.code == 0, repaired.out
    assert f"{statuses['ok']} done, {statuses['crashed']} to run" in repaired.out
    assert len(check(tmp_path, known)) == ALL + statuses["crashed"]
    check_good(tmp_path)
    seconds = round(time.monotonic() - started_s)
    report("workers killed", kills=len(killed), crashed_rows=statuses["crashed"], rows=ALL, seconds=seconds)


def test_one_of_two_runners_is_killed(here, tmp_path, moments):
    (tmp_path / "mine.yaml").write_text(MATRIX)
    started_s, known, rows = time.monotonic(), [], []
    for _ in range(KILLS):
        both = [start("sweep", "mine.yaml", "--limit", 1, cwd=tmp_path) for _ in range(2)]
        moments.shuffle(both)
        time.sleep(moments.uniform(1.0, 6.0))
        kill_and_wait(both[0])
        output, _ = both[1].communicate(timeout=TIMEOUT_S)
        assert both[1].returncode == 0, output
        known = check(tmp_path, known)
        rows.append(len(known))
    assert rows[-1] < ALL, "nothing was left for the kills to lose"
    resumed = here(tmp_path, "sweep", "mine.yaml")
    check_complete(tmp_path, known, resumed.code, resumed.out + resumed.err)
    seconds = round(time.monotonic() - started_s)
    report("one of two runners killed", rounds=KILLS, rows_after_each=rows, of=ALL, seconds=seconds)


@pytest.fixture
def small_disk(tmp_path):
    """A folder with a file system of 3 MiB for the results."""
    results = tmp_path / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(results)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own can be mounted by root alone")
    yield tmp_path
    subprocess.run(["umount", str(results)], check=True)


def fill(filler: Path) -> None:
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_the_disk_is_full(small_disk, moments):
    (small_disk / "mine.yaml").write_text(MATRIX)
    filler = small_disk / "results" / "filler"
    started_s, known, told = time.monotonic(), [], 0
    for begun in itertools.islice(itertools.cycle((2, 1)), KILLS):
        process = start("sweep", "mine.yaml", cwd=small_disk)
        let_run(process, begun, moments)
        fill(filler)
        output, _ = process.communicate(timeout=TIMEOUT_S)
        known = check(small_disk, known)
        if process.returncode != 0:  # else it was just done
            assert process.returncode == 3, output
            assert "No space left on device; make room, or name another folder with --results" in output
            assert "Traceback" not in output
        # A record that found no room was printed, so that the run is not lost.
        told += sum(line.startswith('{"run_id"') and "cell" in json.loads(line) for line in output.splitlines())
        full = bench("sweep", "mine.yaml", cwd=small_disk)
        assert full.returncode == 3, full.stdout + full.stderr
        filler.unlink()
    # By a command of its own, which leaves no file open there.
    resumed = bench("sweep", "mine.yaml", cwd=small_disk)
    check_complete(small_disk, known, resumed.returncode, resumed.stdout + resumed.stderr)
    seconds = round(time.monotonic() - started_s)
    report("disk full", rounds=KILLS, rows_before_the_end=len(known), printed_instead=told, of=ALL, seconds=seconds)
