from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from bench.errors import MissingError
from bench.gate.lock import lock_path, only_one

HOLDS = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from bench.gate.lock import lock_path, only_one
with only_one("bench regress", print):
    print("measuring", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_second_waits_until_the_first_is_done_and_says_for_whom():
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with only_one("bench baseline save", said.append):
            order.append("second")

    with only_one("bench regress --base main", said.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert said == [
        f"Waiting for process {os.getpid()} (bench regress --base main), which measures on this machine; "
        "Ctrl-C ends the wait"
    ]


def test_a_lock_goes_with_the_process_that_held_it(folder):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "measuring\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        said: list[str] = []
        with only_one("bench regress", said.append):
            assert said == []


def test_no_place_for_the_lock_is_said(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "file"))
    with pytest.raises(MissingError, match=r"the gate's lock cannot be had: .*; set TMPDIR"), only_one("x", print):
        pass


def test_a_link_in_the_holders_place_leads_nowhere(folder):
    (folder / "precious").write_text("keep me")
    holder = lock_path().with_suffix(".holder")
    holder.symlink_to(folder / "precious")
    with only_one("bench regress", print):
        assert not holder.is_symlink()
        assert holder.read_text().startswith("process ")
    assert (folder / "precious").read_text() == "keep me"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_holder_that_is_no_file_is_not_read(make):
    said: list[str] = []
    holder = lock_path().with_suffix(".holder")
    with only_one("first", print):
        holder.unlink()
        make(holder)
        waiting = threading.Thread(target=lambda: only_one("second", said.append).__enter__(), daemon=True)
        waiting.start()
        while not said:
            time.sleep(0.01)
    waiting.join()
    assert said == ["Waiting for another gate, which measures on this machine; Ctrl-C ends the wait"]
