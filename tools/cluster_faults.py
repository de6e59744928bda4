"""What a sweep on Ray keeps when a worker, a node or its driver is killed at random moments.

    python -m tools.cluster_faults --rounds 10

Each round sweeps a few short cells on a cluster of two node processes on this machine and kills one thing. It then
counts: cells that ended with a status that counts exactly once, cells that did so more often or never, losses that are
rows of their own, lines of the store that cannot be read, and workers that are left. Exits with 1 where a figure is not
what it should be. A round takes some ten to forty seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.execution.executors.two_nodes import TwoNodes, two_nodes
from tests.command import ENVIRONMENT, line

KINDS = ("worker", "node", "driver")
CELLS = 6
MATRIX = f"""
recipe: digits
set: {{target_accuracy: null, epochs: 8, threads: 1}}
axes: {{model.width: {list(range(4, 4 + CELLS))}}}
"""
MOST_S = 240
GONE_S = 30


@dataclass(frozen=True)
class Round:
    """What one round left: how often each cell ended, how often it was lost, and what should not be there."""

    ends: Counter[str]
    losses: int
    crashes: int
    unreadable: int
    left: int

    def is_right(self, kind: str) -> bool:
        """Every cell once, nothing doubled or lost; a killed worker is one crash, and nothing else is any."""
        each = len(self.ends) == CELLS and set(self.ends.values()) == {1}
        return each and not self.unreadable and not self.left and self.crashes <= (kind == "worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of each kind (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args(arguments)
    moments = random.Random(given.seed)
    print("killed   rounds   cells once   doubled   never   losses   crashes   unreadable   workers left   right")
    good = True
    with two_nodes() as cluster:
        for kind in given.kinds:
            rounds = [_round(cluster, kind, moments) for _ in range(given.rounds)]
            right = sum(one.is_right(kind) for one in rounds)
            good &= right == len(rounds)
            print(_row(kind, rounds, right), flush=True)
    processes = _ours(["two_nodes", "run.log", "raylet"])
    print(f"processes of bench and of the cluster at the end: {processes}")
    return 0 if good and not processes else 1


def _round(cluster: TwoNodes, kind: str, moments: random.Random) -> Round:
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    (folder / "faults.yaml").write_text(MATRIX)
    driver = _start(folder, cluster)
    _wait_for_workers(driver)
    time.sleep(moments.uniform(0, 3))
    if kind == "worker":
        if found := _wait_for_workers(driver):
            with suppress(psutil.NoSuchProcess):
                moments.choice(found).kill()
    elif kind == "node":
        cluster.order("kill")
    else:
        driver.kill()
    _wait(driver)
    if kind == "node":
        cluster.order("add")
    if kind == "driver":
        _wait(_start(folder, cluster))
    left = len(psutil.wait_procs(_workers(), timeout=GONE_S)[1])
    made = _read(folder, left)
    shutil.rmtree(folder)
    return made


def _read(folder: Path, left: int) -> Round:
    ends: Counter[str] = Counter()
    losses = crashes = unreadable = 0
    for text in (folder / "results" / "runs" / "runs.jsonl").read_text().splitlines():
        try:
            row = json.loads(text)
        except ValueError:
            unreadable += 1
            continue
        losses += row["status"] == "interrupted"
        crashes += row["status"] == "crashed"
        if row["status"] != "interrupted":
            ends[row["cell"]] += 1
    return Round(ends, losses, crashes, unreadable, left)


def _row(kind: str, rounds: Sequence[Round], right: int) -> str:
    once = sum(count == 1 for one in rounds for count in one.ends.values())
    doubled = sum(count > 1 for one in rounds for count in one.ends.values())
    never = sum(CELLS - len(one.ends) for one in rounds)
    figures = [
        len(rounds), once, doubled, never, sum(one.losses for one in rounds), sum(one.crashes for one in rounds),
        sum(one.unreadable for one in rounds), sum(one.left for one in rounds),
    ]  # fmt: skip
    widths = (9, 13, 10, 8, 9, 10, 13, 15)
    return (
        f"{kind:6}"
        + "".join(f"{value:>{width}}" for value, width in zip(figures, widths, strict=True))
        + (f"   {right} of {len(rounds)}")
    )


def _start(folder: Path, cluster: TwoNodes) -> subprocess.Popen[bytes]:
    options = ("--executor", "ray", "--address", cluster.address)
    with open(folder / "said", "ab") as said:
        return subprocess.Popen(
            line("sweep", "faults.yaml", *options), cwd=folder, env=ENVIRONMENT, stdout=said, stderr=said
        )


def _wait(driver: subprocess.Popen[bytes]) -> None:
    try:
        driver.wait(timeout=MOST_S)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()


def _wait_for_workers(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    end_s = time.monotonic() + MOST_S
    while time.monotonic() < end_s and driver.poll() is None:
        if found := _workers():
            return found
        time.sleep(0.05)
    return []


def _workers() -> list[psutil.Process]:
    """The processes whose output is the log of a run on a host."""
    return [one for one in psutil.process_iter() if _output_of(one).endswith("/run.log")]


def _output_of(process: psutil.Process) -> str:
    try:
        return os.readlink(f"/proc/{process.pid}/fd/1")
    except (OSError, psutil.Error):
        return ""


def _ours(words: Iterable[str]) -> int:
    """Processes that say one of these words in their command line or output, after a moment to end."""
    end_s = time.monotonic() + GONE_S
    while True:
        found = [
            one.pid
            for one in psutil.process_iter(["cmdline"])
            if one.pid != os.getpid()
            and any(word in " ".join(one.info["cmdline"] or []) + _output_of(one) for word in words)
        ]
        if not found or time.monotonic() > end_s:
            return len(found)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
