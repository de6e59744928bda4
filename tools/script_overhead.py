"""What `bench time` adds to a script: pairs of runs, by hand and timed, in turns on the same machine.

    python tools/script_overhead.py --pairs 10 -- python train.py

Prints, of all pairs: what the command costs in all (its start, its record and its table), and what its presence adds to
the script itself, whose time it records.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    began_s = time.monotonic()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as results:
        timed = [sys.executable, "-m", "bench", "time", "--results", results, "--", *arguments.command]
        seconds(arguments.command), seconds(timed)  # what is read from disk for the first time
        by_hand, whole = [], []
        for pair in range(arguments.pairs):
            # By hand, timed, timed, by hand: a machine that drifts affects both alike.
            for command, into in ((arguments.command, by_hand), (timed, whole))[:: -1 if pair % 2 else 1]:
                into.append(seconds(command))
        lines = (Path(results) / "runs" / "runs.jsonl").read_text(encoding="utf-8").splitlines()
        recorded = [json.loads(line)["metrics"]["wall_s"] for line in lines[1:]]
    hand_s = statistics.median(by_hand)
    added = [timed_s - alone_s for timed_s, alone_s in zip(whole, by_hand, strict=True)]
    inside = [inner_s / alone_s - 1 for inner_s, alone_s in zip(recorded, by_hand, strict=True)]
    print(f"{arguments.pairs} pairs, by hand {hand_s:.3f} s in the median")
    print(f"the whole command: {statistics.median(added):+.3f} s in the median, {max(added):+.3f} s at most")
    low, high = min(inside), max(inside)
    print(f"the recorded time: {statistics.median(inside):+.2%} in the median, from {low:+.2%} to {high:+.2%}")


if __name__ == "__main__":
    main()
