"""A small sweep for the tests of its tables."""

from pathlib import Path

from bench.documents.document import Document
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan

WIDTHS = list(range(1, 41))
MATRIX = Matrix(
    Document(Path("mine.yaml"), {"recipe": "digits", "axes": {"model.width": WIDTHS, "augment": [{"flip": "random"}]}})
)
CELLS = expand(MATRIX, "cpu")


def planned(cells, runs=(), seeds=1):
    return plan(schedule(cells, range(seeds), "interleaved"), runs, machine_ids={"here"}, sources_sha256="")


def printed(console, what=None):
    if what is not None:
        console.print(what)
    return console.file.getvalue()
