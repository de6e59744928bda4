"""Times parts of bench against libraries that could replace them, and prints a Markdown table.

    LIBS=/path/to/site-packages python -m tools.library_comparison [PAGE]

With PAGE, for instance docs/research/libraries.md, the table is also written there with what follows from it.

$LIBS has duckdb, polars, pooch and playwright; what is missing is left out. It wants a quiet machine, and Chromium for
the browser. Each figure is the median of ROUNDS, in a process of its own where imports and caches matter.

- Loading: the frame of runs of 100,000 recorded runs, cold (first load of the file) and warm (from what the first load
  kept). Parquet sidecars are written by the first load of the library and read by the second.
- Download: the bytes that a second call fetches after the connection was cut in the middle of a file.
- Browser: start, open a page of a report, run a script, end.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import md5
from pathlib import Path
from statistics import median

from tools.rooms import ROOT

RUNS, CELLS, ROUNDS = 100_000, 1000, 5
FILE_BYTES = 8_000_000
# Each is run in a new process and prints the number of runs and its seconds, without imports.
LOADERS = {
    "bench": "from bench.runs.frames import load\nstart()\nruns = load([PATH]).runs\n",
    "DuckDB, JSON": "import duckdb\nstart()\nruns = duckdb.sql(f\"select * from read_json('{PATH}')\").df()\n",
    "DuckDB, Parquet sidecar": (
        "import duckdb\nside = PATH.with_suffix('.duckdb.parquet')\nstart()\n"
        "if not side.exists(): duckdb.sql(f\"copy (select * from read_json('{PATH}')) to '{side}'\")\n"
        "runs = duckdb.sql(f\"select * from '{side}'\").df()\n"
    ),
    "Polars, JSON": "import polars\nstart()\nruns = polars.read_ndjson(PATH, infer_schema_length=2000).to_pandas()\n",
    "Polars, Parquet sidecar": (
        "import polars\nside = PATH.with_suffix('.polars.parquet')\nstart()\n"
        "if not side.exists(): polars.read_ndjson(PATH, infer_schema_length=2000).write_parquet(side)\n"
        "runs = polars.read_parquet(side).to_pandas()\n"
    ),
}
MEASURE = """
import sys, time
from pathlib import Path
sys.path += sys.argv[2:]
PATH = Path(sys.argv[1])
def start():
    global began
    began = time.perf_counter()
{body}
print(len(runs), time.perf_counter() - began)
"""


def has(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def recorded(folder: Path) -> Path:
    """RUNS runs of CELLS cells as JSON lines, the same as those of tests/benchmarks/test_store.py."""
    from tests.benchmarks.test_store import realistic_run

    lines = [realistic_run(cell, 10, random.Random(cell)).to_json_line() for cell in range(CELLS)]
    path = folder / "runs.jsonl"
    with open(path, "wb") as file:
        for i in range(RUNS):
            file.write(lines[i % CELLS].replace(b"RUN_ID", b"20261121T021820.%06dZ-%08x" % (i, i)))
    return path


def loading(folder: Path) -> Iterator[tuple[str, str]]:
    path = recorded(folder)
    for name, body in LOADERS.items():
        if name != "bench" and not has(name.partition(",")[0].lower()):
            continue
        cold, warm = [], []
        for _ in range(ROUNDS):
            # Nothing is kept from the last round: neither bench's cache nor a sidecar.
            with tempfile.TemporaryDirectory() as cache:
                for side in folder.glob("*.parquet"):
                    side.unlink()
                cold.append(_seconds(body, path, cache))
                warm.append(_seconds(body, path, cache))
        yield f"load {RUNS:,} runs, {name}", f"{median(cold):.2f} s cold, {median(warm):.2f} s warm"


def _seconds(body: str, path: Path, cache: str) -> float:
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    words = [sys.executable, "-c", MEASURE.format(body=body), str(path), *filter(None, [os.environ.get("LIBS")])]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    *_, count, seconds = done.stdout.split()  # libraries may print before
    if int(count) != RUNS:
        raise RuntimeError(f"{count} runs were loaded, not {RUNS:,}")
    return float(seconds)


def downloads(folder: Path) -> Iterator[tuple[str, str]]:
    from bench.pipelines.datasets.address import Address
    from bench.pipelines.datasets.fetch import fetch
    from tests.pipelines.datasets.local_server import LocalServer, Served

    content = random.Random(0).randbytes(FILE_BYTES)
    digest = md5(content, usedforsecurity=False).hexdigest()

    def ours(url: str) -> None:
        address = Address.of(url, "the comparison").file("f")
        fetch(address, folder / "ours", md5=digest, size_bytes=FILE_BYTES, timeout_s=5.0, retry_delays_s=())

    def by_pooch(url: str) -> None:
        import pooch

        pooch.retrieve(f"{url}/f", f"md5:{digest}", fname="pooch", path=folder, progressbar=False)

    calls: dict[str, Callable[[str], None]] = {"bench": ours, "pooch": by_pooch}
    for name, call in calls.items():
        if name != "bench" and not has(name):
            continue
        server = LocalServer()
        server.files["f"] = Served(content, cuts=[FILE_BYTES // 2])
        try:
            with suppress(Exception):  # the connection is cut
                call(server.url)
            before = sum(request.sent_bytes for request in server.requests)
            call(server.url)
            after = sum(request.sent_bytes for request in server.requests) - before
        finally:
            server.close()
        yield f"download cut at half of {FILE_BYTES / 1e6:g} MB, {name}", f"{after / 1e6:.1f} MB in the second call"


def browsers(folder: Path) -> Iterator[tuple[str, str]]:
    from tests.bench.report.html.browser import chromium, executable

    program = executable()
    if program is None:
        return
    page = folder / "page.html"
    page.write_text("<!doctype html><title>t</title><table><tr><td>1</td></tr></table>")
    script = "document.querySelectorAll('td').length"

    def ours() -> object:
        with chromium(program) as tab:
            tab.open(page)
            return tab.run(script)

    def by_playwright() -> object:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
            tab = browser.new_page()
            tab.goto(page.resolve().as_uri())
            found = tab.evaluate(script)
            browser.close()
            return found

    calls: dict[str, Callable[[], object]] = {"the tests' own client": ours, "Playwright": by_playwright}
    for name, call in calls.items():
        if name == "Playwright" and not has("playwright"):
            continue
        taken = []
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            if call() != 1:
                raise RuntimeError(f"{name} did not find the table")
            taken.append(time.perf_counter() - began_s)
        yield f"a page in Chromium, {name}", f"{median(taken):.2f} s"


PAGE = """# Own code and the libraries that could replace it

Written by `python -m tools.library_comparison docs/research/libraries.md` on {machine}; medians of {rounds} rounds. The
bar for loading is {runs:,} runs in 3 s cold and 0.3 s warm.

{table}

**Loading.** bench returns a table with a column for each key of the config, with one type for each column and a warning
for each damaged line. DuckDB and Polars return nested structs, which would still have to be spread out, and refuse a
file with one damaged line. Their times are therefore lower limits for a replacement.

**Download.** pooch starts from the beginning after a cut connection, so its second call fetches the whole file. bench
continues where it stopped.

**Browser.** Playwright brings a Node.js runtime, 165 MB in all, and is a further dependency of the tests; the client of
the tests is one file of 130 lines.
"""


def main() -> None:
    from bench.host.fingerprint import fingerprint

    if libraries := os.environ.get("LIBS"):
        sys.path.append(libraries)  # after bench's own packages
    rows = ["| What | Result |", "|---|---|"]
    print("\n".join(rows))
    for part in (loading, downloads, browsers):
        with tempfile.TemporaryDirectory() as folder:
            for what, result in part(Path(folder)):
                rows.append(f"| {what} | {result} |")
                print(rows[-1], flush=True)
    if pages := sys.argv[1:]:
        facts = fingerprint()
        machine = f"{facts['cpu_model']}, {facts['usable_cores']} cores"
        text = PAGE.format(machine=machine, rounds=ROUNDS, runs=RUNS, table="\n".join(rows))
        Path(pages[0]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
