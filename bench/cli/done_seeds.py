"""The seeds of a cell that are done already: measured on such a machine, by the same code, in the same way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bench.runs.run import Run
from bench.spec.sweep_plan import ANSWERS


def done_runs(
    known: Iterable[Run],
    seeds: Sequence[int],
    machine_ids: Collection[str] | None,
    sources_sha256: str,
    shares_process: bool,
    keeps_compiled: bool,
    host: str | None = None,
) -> dict[int, Run]:
    """The newest run of each seed that is done, of the `known` runs of one cell, on one of these machines.

    None stands for any machine; with `host` it is that very host.

    Done is what has an answer, if it is a bad one too. What was interrupted, crashed or ran out of memory is not.
    """
    found: dict[int, Run] = {}
    for run in sorted(known, key=lambda run: run.run_id):
        alike = (run.shares_process, run.keeps_compiled) == (shares_process, keeps_compiled)
        is_here = machine_ids is None or run.machine.get("id") in machine_ids
        here = is_here and run.code.get("sources_sha256") == sources_sha256 and host in (None, run.machine.get("host"))
        if run.seed in seeds and run.status in ANSWERS and alike and here:
            found[run.seed] = run
    return {seed: found[seed] for seed in seeds if seed in found}
