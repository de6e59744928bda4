"""Names the runs that other activity on the machine disturbed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.host.contention import Usage, by_span, disturbances
from bench.runs.run import Run

# How many runs a line names.
MOST_TOLD = 3


def disturbed(
    runs: Sequence[Run],
    counted: Sequence[Iterable[str] | None] | None = None,
    usages: Sequence[Mapping[str, Usage]] | None = None,
) -> str | None:
    """Which of the runs were disturbed, by what and in which spans, as one phrase; None if none was or if it is
    unknown.

    `counted` gives for each run the names of the spans to look at, by default all. `usages` gives what `by_span` makes
    of its spans, for callers that ask several times.
    """
    told = [
        disturbances(usage, names) | _on_gpus(run)
        for run, names, usage in zip(
            runs, counted or [None] * len(runs), usages or [by_span(run.spans) for run in runs], strict=True
        )
    ]
    found = [(run, where) for run, where in zip(runs, told, strict=True) if where]
    if not found:
        return None
    details = [
        f"seed {run.seed}: {_listed(where)}" if len(runs) > 1 else _listed(where) for run, where in found[:MOST_TOLD]
    ]
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    counts = f"{len(found)} of {len(runs)} runs: " if len(runs) > 1 else ""
    return f"{counts}{'; '.join(details)}{more}"


def _on_gpus(run: Run) -> dict[str, str]:
    count = run.metrics.get("gpu_other_processes")
    if not count:
        return {}
    return {"run": f"{count} other process{'es' if count > 1 else ''} used its GPUs or held memory there"}


def _listed(where: Mapping[str, str]) -> str:
    """`other processes took 35% of the CPU time in train, eval`."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, what in where.items():
        names[what].append(name)
    return ", ".join(what if spans == ["run"] else f"{what} in {', '.join(spans)}" for what, spans in names.items())
