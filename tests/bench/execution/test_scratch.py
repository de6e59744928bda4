"""The temporary folders of real processes, in temporary directories of every length."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution import scratch
from tests.bench.cli.commands.sweeping import wait_for_workers
from tests.command import ENVIRONMENT, bench, records, start, statuses
from tests.processes import left_after

OWNER = """
import multiprocessing.util, sys
from bench.execution import scratch
print(scratch.for_sockets(), multiprocessing.util.get_temp_dir(), scratch.for_one_run(), flush=True)
sys.stdin.read()
"""


def owner(temporary):
    """A process with its folders, and these: for sockets, multiprocessing's own, of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=ENVIRONMENT | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, list(map(Path, process.stdout.readline().split()))


def of_length(folder, length):
    """A folder below it whose path has so many bytes."""
    missing = length - len(os.fsencode(folder)) - 1
    made = folder / ("x" * missing)
    made.mkdir()
    return made


@pytest.mark.parametrize("length", [90, 140, 250])
def test_sockets_have_a_short_private_path_and_runs_stay_in_the_temporary_directory(tmp_path, length):
    place = of_length(tmp_path, length)
    process, (sockets, of_python, of_run) = owner(place)
    assert sockets == of_python
    assert len(os.fsencode(sockets / "listener-12345678")) <= scratch.SOCKET_PATH_BYTES
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert of_run.is_relative_to(place)
    process.communicate(timeout=60)
    assert not sockets.exists()
    assert list(place.iterdir()) == []


def test_the_folder_of_a_dead_owner_goes_and_that_of_a_living_one_stays(tmp_path):
    (tmp_path / "bench-tmp-file").write_text("not a folder")
    (tmp_path / "others").mkdir()
    (living, (*_, run)), (dead, (*_, run_of_dead)) = owner(tmp_path), owner(tmp_path)
    of_living, of_dead = run.parent, run_of_dead.parent
    dead.send_signal(signal.SIGKILL)
    dead.communicate(timeout=60)
    assert of_dead.exists()
    scratch.remove_leftovers(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([of_living.name, "bench-tmp-file", "others"])
    living.communicate(timeout=60)


def test_no_place_that_is_short_enough_is_said_with_what_to_do(tmp_path):
    code = "from bench.cli.app import main; from bench.execution import scratch; scratch.SOCKET_PATH_BYTES = 3; main()"
    command = [sys.executable, "-c", code, "sweep", "digits"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "set TMPDIR to a short one" in done.stderr) == (3, True), done.stderr
    assert "Traceback" not in done.stderr


MATRIX = (
    "recipe: digits\nset: {{epochs: {epochs}, target_accuracy: null, loader: {loader}}}\naxes: {{model.width: [4]}}\n"
)


def test_a_sweep_in_a_long_temporary_directory_leaves_nothing_there(tmp_path):
    (tmp_path / "mine.yaml").write_text(MATRIX.format(epochs=0.2, loader="torch, workers: 1"))
    place = of_length(tmp_path, 140)
    done = bench("sweep", "mine.yaml", cwd=tmp_path, TMPDIR=str(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert statuses(tmp_path) == ["ok"]
    assert [path.name for path in place.iterdir() if not path.name.startswith("torchinductor")] == []


def test_what_a_killed_command_left_is_taken_away_by_the_next(tmp_path, monkeypatch):
    place = of_length(tmp_path, 80)
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(place))
    (tmp_path / "mine.yaml").write_text(MATRIX.format(epochs=100000, loader="resident"))
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    worker = wait_for_workers(process)[0]
    process.kill()
    process.communicate(timeout=60)
    assert left_after(60, [worker]) == []
    assert list(place.glob("bench-tmp-*"))
    assert list((tmp_path / "results" / "logs").rglob("*.log"))
    (tmp_path / "mine.yaml").write_text(MATRIX.format(epochs=0.2, loader="resident"))
    assert bench("sweep", "mine.yaml", cwd=tmp_path).returncode == 0
    assert list(place.glob("bench-tmp-*")) == []
    (row,) = records(tmp_path)
    logs = [path.relative_to(tmp_path / "results") for path in (tmp_path / "results" / "logs").rglob("*.log")]
    assert logs == ([Path(row["log"])] if row["log"] else [])


def test_a_folder_of_another_machine_stays_although_its_lock_is_not_known_here(tmp_path):
    (of_another := tmp_path / f"{scratch.PREFIX}000000-abcdefgh").mkdir()
    scratch.remove_leftovers(str(tmp_path))
    assert of_another.exists()


def test_where_the_file_system_has_no_locks_there_are_folders_all_the_same(tmp_path, monkeypatch):
    def no_lock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(scratch.fcntl, "flock", no_lock)
    first, second = scratch._make(str(tmp_path)), scratch._make(str(tmp_path))
    assert (first.is_dir(), second.is_dir()) == (True, True)  # nobody knows whether the first one's owner is dead
