"""A report of every kind of row, written once, and a browser to look at it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.report.html.pages import site
from bench.runs.run import Run
from bench.scores.published import load_records
from tests.bench.competitors import cell, crossed_sweep, run
from tests.bench.report.html.browser import Page, chromium, executable

# A name, a reason and a log that would take over a page that does not escape them.
EVIL = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


def competitors() -> list[Run]:
    sweep = [
        run(epoch_s=epoch_s, cell=f"{width}{precision}", sweep="night", config={"width": width, "precision": precision})
        for width, epoch_s in ((8, 5.0), (16, 9.0))
        for precision in ("fp32", "bf16")
    ]
    devices = [
        run(
            cell=f"on{n}",
            sweep="devices",
            config={"devices": n} if n > 1 else {},
            metrics=run().metrics | {"samples_per_s": 90.0 * n},
        )
        for n in (1, 2)
    ]
    evil = run(recipe=EVIL, cell=EVIL, status="crashed", reason=EVIL, log_tail=[EVIL], command=EVIL)
    wide = run(recipe="a_name_without_any_place_to_break_" * 4, cell="wide")
    return [
        *cell(10.0, "ours"),
        *cell(10.02, "tied"),
        *cell(7.0, "weak", n=2, final=0.91),
        *sweep,
        *crossed_sweep(),
        *devices,
        evil,
        wide,
    ]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report."""
    folder = tmp_path_factory.mktemp("report")
    for name, content in site(competitors(), load_records()).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    """A tab of headless Chromium; skipped where there is none."""
    program = executable()
    if program is None:
        pytest.skip("no Chromium: install chromium, or name one in $BENCH_CHROMIUM")
    with chromium(program) as tab:
        yield tab
