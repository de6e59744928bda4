from __future__ import annotations

import multiprocessing
import os
import time

import psutil

from bench.execution import runner
from bench.host.start import start_of_this_process


def tell(pipe):
    pipe.send((start_of_this_process(), os.getpid()))


def starts(method: str, count: int) -> list[tuple[str, int]]:
    context = multiprocessing.get_context(method)
    found = []
    for _ in range(count):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=tell, args=(sender,))
        process.start()
        found.append(receiver.recv())
        process.join()
    return found


def test_processes_of_a_fork_server_have_one_start_and_spawned_ones_each_their_own():
    (one, pid), (other, another_pid) = starts("forkserver", 2)
    assert pid != another_pid
    assert one == other
    for start, pid in starts("spawn", 2):
        assert start.startswith(f"{pid}-")
    assert start_of_this_process().startswith(f"{os.getpid()}-")


def test_a_machine_that_does_not_tell_when_a_process_began_ends_no_run(monkeypatch):
    def fails(self):
        raise RuntimeError("line 'btime' not found in /proc/stat")

    monkeypatch.setattr(psutil.Process, "create_time", fails)
    assert start_of_this_process() == f"{os.getpid()}-unknown"


def test_a_renewed_fork_server_is_another_start(monkeypatch):
    monkeypatch.setattr(runner, "PRELOADED", ())  # which take seconds
    runner.warm_up_fork_server()
    before = {start for start, _ in starts("forkserver", 2)}
    runner.renew_fork_server()
    after = {start for start, _ in starts("forkserver", 2)}
    assert len(before) == len(after) == 1
    assert before != after


def test_the_fork_server_ends_while_what_was_forked_here_goes_on(monkeypatch):
    """Such as the workers of a DataLoader, which have the pipe that tells the server to stop."""
    monkeypatch.setattr(runner, "PRELOADED", ())
    runner.warm_up_fork_server()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
    child.start()
    try:
        runner.end_fork_server()
        assert child.is_alive()
    finally:
        child.kill()
        child.join()
