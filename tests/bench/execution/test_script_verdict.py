"""What the end of a script means: mostly what only a machine at its limits shows."""

import signal
from dataclasses import replace

import pytest

from bench.execution.script_verdict import Ending, verdict

FINE = Ending(0, ["done"], 0.95, 0.1, 0.94, "the pattern", None, 10, 100)


def test_a_script_that_reaches_its_target_is_fine():
    assert verdict(FINE) == ("ok", None)
    assert verdict(replace(FINE, accuracy=None, target=None, wants_accuracy=None)) == ("ok", None)


@pytest.mark.parametrize("exit_code", [-signal.SIGKILL, 128 + signal.SIGKILL])
def test_a_kill_is_for_want_of_memory_where_something_says_so(exit_code):
    killed = replace(FINE, exit_code=exit_code)
    assert verdict(killed) == ("crashed", "it was killed by SIGKILL; its last line was: done")
    status, reason = verdict(replace(killed, oom_kills=1))
    assert (status, reason) == ("oom", "it was killed by SIGKILL: the kernel had no memory left")
    status, reason = verdict(replace(killed, peak_bytes=95))
    assert status == "oom"
    assert "held 95% of the memory" in str(reason)


def test_a_worker_of_the_script_that_the_kernel_killed_is_the_cause():
    assert verdict(replace(FINE, exit_code=1, oom_kills=1))[0] == "oom"
    assert verdict(replace(FINE, oom_kills=1)) == ("ok", None)  # somebody else's


@pytest.mark.parametrize("line", ["MemoryError", "RuntimeError: [enforce] can't allocate memory", "std::bad_alloc"])
def test_a_script_that_says_so_itself_is_believed_where_it_failed(line):
    assert verdict(replace(FINE, exit_code=1, last_lines=[line, "bye"])) == (
        "oom",
        f"it ended with exit code 1: {line}",
    )
    assert verdict(replace(FINE, last_lines=[line])) == ("ok", None)


def test_what_is_no_number_has_diverged():
    assert verdict(replace(FINE, loss=float("inf"))) == ("diverged", "its last loss is inf")
    assert verdict(replace(FINE, accuracy=float("nan")))[0] == "diverged"


def test_an_unknown_signal_number_is_an_exit_code():
    assert verdict(replace(FINE, exit_code=255)) == ("crashed", "it ended with exit code 255; its last line was: done")
