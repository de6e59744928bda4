"""What a cell costs on Ray beyond what it costs on this machine alone: many cells of a measure that takes a moment.

    python -m tools.cluster_overhead --cells 1000

Both sweeps have as many runs at once as this machine has cores, in turns: local, Ray, Ray, local. It prints the seconds
of each sweep by cell, and checks that the store of each has every cell once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tests.command import ENVIRONMENT, line

# The image of the first cell has so many pixels a side, and that of each further cell one more.
LEAST_PIXELS, MOST_PIXELS = 8, 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a store is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000, help=f"at most {MOST_PIXELS - LEAST_PIXELS + 1}")
    parser.add_argument("--turns", type=int, default=1, help="how often local, Ray, Ray, local (default: 1)")
    given = parser.parse_args(arguments)
    took: dict[str, list[float]] = {"local": [], "ray": []}
    for executor in ("local", "ray", "ray", "local") * given.turns:
        seconds, wrong = _sweep(executor, given.cells)
        print(f"{executor}: {seconds:.1f} s, {1000 * seconds / given.cells:.0f} ms a cell{wrong}", flush=True)
        took[executor].append(seconds)
        if wrong:
            return 1
    more_ms = 1000 * (fmean(took["ray"]) - fmean(took["local"])) / given.cells
    print(f"Ray beyond local: {more_ms:+.1f} ms a cell, its start included (n = {len(took['ray'])} sweeps each)")
    return 0


def _sweep(executor: str, cells: int) -> tuple[float, str]:
    """Seconds of a sweep, and what is wrong with its store."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        (folder / "many.yaml").write_text(
            "recipe: checkerboard\nmeasure: checkerboard\nset: {checkerboard.channels: 1}\n"
            f"axes: {{checkerboard.pixels: {list(range(LEAST_PIXELS, LEAST_PIXELS + cells))}}}\n"
        )
        began_s = time.monotonic()
        done = subprocess.run(
            line("sweep", "many.yaml", "--executor", executor, "--jobs", cores),
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began_s
        rows = [json.loads(text) for text in (folder / "results/runs/runs.jsonl").read_text().splitlines()]
        counts = Counter(row["cell"] for row in rows)
        right = done.returncode == 0 and len(counts) == cells and set(counts.values()) == {1}
        statuses = dict(Counter(row["status"] for row in rows))
        return seconds, "" if right else f"; exit {done.returncode}, {statuses}\n{done.stderr[-2000:]}"


if __name__ == "__main__":
    sys.exit(main())
