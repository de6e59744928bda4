"""What is measured is kept, whatever becomes of the terminal, the pipe or the disk that it is shown on."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import termios

import pytest

from tests import command
from tests.command import ENVIRONMENT, TIMEOUT_S, records, statuses

TINY = ("run", "digits", "--set", "epochs=0.2", "--set", "target_accuracy=null", "--device", "cpu")


def shell(folder, redirection, *arguments, **environment):
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *command.line(*arguments)],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "environment"),
    [("> /dev/full", {}), (">&- 2>&-", {}), ("", {"PYTHONIOENCODING": "ascii"})],
    ids=["full", "closed", "ascii"],
)
def test_a_run_is_recorded_and_its_exit_code_is_its_own(tmp_path, redirection, environment):
    done = shell(tmp_path, redirection, *TINY, **environment)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert [(record["status"], record["reason"]) for record in records(tmp_path)] == [("ok", None)]


def test_bytes_that_are_no_text_lose_no_run_and_name_it_again(tmp_path):
    results = os.fsdecode(b"caf\xe9")
    done = shell(tmp_path, "", *TINY, "--results", results, "--keep-weights")
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path, results)
    assert (record["status"], record["command"].endswith(r"--results $'caf\xe9' --keep-weights")) == ("ok", True)
    for arguments in (("show", "last"), ("export", os.fsdecode(b"\xe9.parquet"))):
        again = shell(tmp_path, "", "results", *arguments, "--results", results)
        assert (again.returncode, again.stderr) == (0, "")


def test_a_reader_of_one_line_is_no_failure(tmp_path):
    for arguments in (("recipes",), ("env", "--json"), ("--help",)):
        done = shell(tmp_path, "| head -1", *arguments)
        assert (done.returncode, done.stderr) == (0, "")


def on_a_terminal(folder, *arguments, nohup=False):
    """The command in the foreground of a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)

    process = subprocess.Popen(
        command.line(*arguments),
        cwd=folder,
        env=ENVIRONMENT | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    return process, ours


def close_when_it_says(ours, pattern):
    said = ""
    while not re.search(pattern, said):
        said += os.read(ours, 4096).decode(errors="replace")
    os.close(ours)


@pytest.mark.slow  # trains for some epochs
@pytest.mark.parametrize(("nohup", "code", "status"), [(False, 130, "interrupted"), (True, 0, "ok")])
def test_a_run_outlives_its_terminal_or_is_recorded_as_interrupted(tmp_path, nohup, code, status):
    process, terminal = on_a_terminal(
        tmp_path, "run", "digits", "--set", "epochs=8", "--set", "target_accuracy=null", nohup=nohup
    )
    close_when_it_says(terminal, "training")
    assert process.wait(timeout=TIMEOUT_S) == code
    assert statuses(tmp_path) == [status]


def test_a_sweep_whose_terminal_is_closed_is_stopped_as_by_ctrl_c(tmp_path):
    matrix = "recipe: digits\nset: {epochs: 100000, target_accuracy: null}\naxes: {model.width: [4, 8]}\n"
    (tmp_path / "mine.yaml").write_text(matrix)
    process, terminal = on_a_terminal(tmp_path, "sweep", "mine.yaml")
    with contextlib.suppress(OSError):
        close_when_it_says(terminal, "training")
    assert process.wait(timeout=TIMEOUT_S) == 130
    assert statuses(tmp_path) == ["interrupted"]
