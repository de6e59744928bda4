"""The gate's history for people: each figure's course along the commits, and the changes in it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.gate.history import Chain, Commit
from bench.gate.quantity import points
from bench.host.git import SHORT_COMMIT
from bench.statistics.change_points import LEAST, Change
from bench.text import units
from bench.text.console import say
from bench.text.fitting import print_table

HEIGHT = 9
MARGIN = 9
CONFIDENCE_95 = 1.96
POINT, CHANGE, BREAK = "•", "▲", "┊"


def print_history(chains: Sequence[Chain], commits: Sequence[Commit], console: Console) -> None:
    """A drawing and a table of changes for each chain."""
    for chain in chains:
        console.print(Text(f"{chain.cell}, {chain.quantity.name}", style="bold"))
        say(console, summary(chain, commits))
        for line in drawing(chain, min(console.width, 100) - MARGIN):
            say(console, line)
        if chain.changes:
            print_table(console, _table(chain, commits), ("date",))
        say(console, "")


def summary(chain: Chain, commits: Sequence[Commit]) -> str:
    """What the chain is of, and what came of it, in a line."""
    machines = len({machine for _, _, machine in chain.raw})
    told = (
        f"{len(chain.comparisons)} comparisons of {len(chain.levels)} commits on {machines} "
        f"machine{'' if machines == 1 else 's'}"
    )
    if pieces := len({level.piece for level in chain.levels}) - 1:
        told += f", with {pieces} gap{'' if pieces == 1 else 's'} over which nothing was compared"
    last = chain.levels[-1]
    first = next(level for level in chain.levels if level.piece == last.piece)
    since = commits[first.position].name[:SHORT_COMMIT]
    told += f"; {shown(chain, last.rise)} ± {_size(chain, CONFIDENCE_95 * last.error)} since {since}"
    if len(chain.comparisons) < LEAST:
        return f"{told}; changes are told from {LEAST} comparisons on"
    count = len(chain.changes)
    return f"{told}; {count or 'no'} change{'' if count == 1 else 's'}"


def drawing(chain: Chain, width: int) -> list[str]:
    """The levels from left to right, a column or less a commit, with a mark below each change."""
    rises = [level.rise for level in chain.levels]
    low, high = min(rises), max(rises)
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    count = len(rises)
    width = min(width, count)
    canvas = [[" "] * width for _ in range(HEIGHT)]
    column = {level.position: at * width // count for at, level in enumerate(chain.levels)}
    for before, level in zip([None, *chain.levels], chain.levels, strict=False):
        at = column[level.position]
        if before is not None and before.piece != level.piece:
            for row in canvas:
                row[at] = BREAK
        canvas[round((high - level.rise) / (high - low) * (HEIGHT - 1))][at] = POINT
    marks = [" "] * width
    for change in chain.changes:
        marks[column[_first_measured(chain, change)]] = CHANGE
    labels = {0: shown(chain, high), HEIGHT - 1: shown(chain, low)}
    rows = [f"{labels.get(at, ''):>{MARGIN - 2}} │{''.join(row).rstrip()}" for at, row in enumerate(canvas)]
    return [*rows, f"{'':>{MARGIN - 2}} └{''.join(marks).rstrip()}"] if chain.changes else rows


def shown(chain: Chain, rise: float) -> str:
    """`+1.2 %` of a ratio, `-0.40 pp` of an accuracy."""
    return f"{100 * math.expm1(rise):+.1f} %" if chain.quantity.scale == "ratio" else points(rise)


def word(chain: Chain, change: Change) -> str:
    """`slower`, `more accurate` and so on."""
    better, worse = chain.quantity.words
    return worse if (change.rise > 0) == chain.quantity.larger_is_worse else better


def to_json(chains: Sequence[Chain], commits: Sequence[Commit], notes: Sequence[str]) -> str:
    """Every number; positions are those of `commits`."""
    return (
        json.dumps(
            {
                "commits": [{"commit": one.name, "date": one.date, "subject": one.subject} for one in commits],
                "notes": list(notes),
                "chains": [_as_json(chain) for chain in chains],
            },
            indent=1,
        )
        + "\n"
    )


def _as_json(chain: Chain) -> dict[str, object]:
    return {
        "cell": chain.cell,
        "metric": chain.quantity.metric,
        "rises_are": "log(head / base)" if chain.quantity.scale == "ratio" else "head - base",
        "comparisons": [vars(one) for one in chain.comparisons],
        "levels": [vars(one) for one in chain.levels],
        "changes": [{**vars(one), "z": one.z, "verdict": word(chain, one)} for one in chain.changes],
        "raw": [{"position": at, "head": value, "machine": machine} for at, value, machine in chain.raw],
    }


def _table(chain: Chain, commits: Sequence[Commit]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("commit", "date", "change", "95 %", "verdict", "subject"):
        table.add_column(name, no_wrap=name != "subject", justify="right" if name in ("change", "95 %") else "left")
    for change in chain.changes:
        last = commits[change.last]
        names = last.name[:SHORT_COMMIT]
        if change.first != change.last:
            names = f"{commits[change.first].name[:SHORT_COMMIT]} … {names}"
        reach = CONFIDENCE_95 * change.error
        interval = f"[{shown(chain, change.rise - reach)}, {shown(chain, change.rise + reach)}]"
        is_worse = word(chain, change) == chain.quantity.words[1]
        verdict = Text(word(chain, change), style="bold red" if is_worse else "green")
        table.add_row(names, last.date[:10], shown(chain, change.rise), interval, verdict, last.subject)
    return table


def _first_measured(chain: Chain, change: Change) -> int:
    """The first commit with a level that has the change in it."""
    return next(level.position for level in chain.levels if level.position >= change.last)


def _size(chain: Chain, rise: float) -> str:
    return units.percent(math.expm1(rise)) if chain.quantity.scale == "ratio" else points(rise).lstrip("+")
