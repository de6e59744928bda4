"""What each way in which OpenMP's threads can wait costs a training step, alone and beside busy processes.

    .venv/bin/python tools/openmp_waiting.py cifar94_cpu --data DIR --results results/openmp

Each setting is timed in `--rounds` rounds by `bench run RECIPE --measure throughput`, in turns, so that what changes
slowly on the machine changes all of them; beside 0, 1 and 2 processes that do nothing but count. Prints the median
of images/s and the least and the most, and by how many per cent each setting differs from the runtime's own. Every
run is kept in --results, with `config.resolved.openmp`. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.host.openmp import VARIABLES
from bench.runs.store import Store

SETTINGS: dict[str, dict[str, str]] = {
    "runtime's own": {},
    **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in (0, 100, 1_000, 10_000, 100_000)},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "OMP_WAIT_POLICY=active": {"OMP_WAIT_POLICY": "active"},
}
BUSY = "while True: pass"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(options: argparse.Namespace, setting: str, busy: int, number: int) -> float:
    """Images a second in one run. Raises SystemExit where it fails."""
    results = Path(options.results) / f"{setting.replace(' ', '-')}-{busy}-busy-{number}"
    store = Store(results / "runs" / "runs.jsonl")
    if not store.path.exists():  # a later call goes on
        command = [sys.executable, "-m", "bench", "run", options.recipe, "--measure", "throughput", "--device", "cpu"]
        command += ["--results", str(results), "--sampling-timeout", str(options.seconds), "--seeds", "1"]
        command += ["--data", options.data] if options.data else []
        command += [part for setting_of_recipe in options.set for part in ("--set", setting_of_recipe)]
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        done = subprocess.run(command, env=environment | SETTINGS[setting], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(store.read()[-1].metrics["samples_per_s_without_loader"] or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--results", required=True)
    parser.add_argument("--data")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of sampling in a run")
    parser.add_argument("--busy", type=int, action="append", help="how many busy processes; repeatable (0, 1, 2)")
    parser.add_argument("--only", action="append", choices=SETTINGS, help="only this setting; repeatable")
    options = parser.parse_args()
    settings, neighbours = options.only or list(SETTINGS), options.busy or [0, 1, 2]
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    for number in range(options.rounds):
        for busy in neighbours:
            with busy_processes(busy):
                for setting in settings:
                    rates[setting, busy].append(rate(options, setting, busy, number))
                    print(f"round {number}, {busy} busy, {setting}: {rates[setting, busy][-1]:,.0f}/s", file=sys.stderr)
    heads = [f"{busy} busy: images/s | least to most | against the own" for busy in neighbours]
    print(f"| setting | {' | '.join(heads)} |")
    print(f"|---|{'--:|---|--:|' * len(neighbours)}")
    for setting in settings:
        cells = []
        for busy in neighbours:
            found, own = rates[setting, busy], rates[settings[0], busy]
            change = 100 * (median(found) / median(own) - 1)
            cells.append(f"{median(found):,.0f} | {min(found):,.0f} to {max(found):,.0f} | {change:+.1f} %")
        print(f"| {setting} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
