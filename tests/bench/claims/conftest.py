"""A claim about two widths of the digits' net, and runs of its cells with times that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.claims import catalog
from bench.claims.cells import Claim
from bench.runs.run import Run

MATRIX = """
recipe: digits
set: {target_accuracy: null}
axes:
  model.width: [8, 16]
seeds: 5
"""
CLAIM = """
statement: The narrow net is faster.
source: nobody
matrix: widths.yaml
minutes: 1
tests:
  - what: training, narrow over wide
    quantity: ratio
    metric: train_s
    of: {model.width: 8}
    to: {model.width: 16}
    claimed: {below: 1}
    negligible: 0.02
"""


@pytest.fixture
def make_claim(tmp_path: Path) -> Callable[..., Claim]:
    """The claim with these texts replaced, beside its matrix with its own ones replaced."""

    def make(changes: Mapping[str, str] | None = None, matrix: str = MATRIX) -> Claim:
        text = CLAIM
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "widths.yaml").write_text(matrix)
        (tmp_path / "claim.yaml").write_text(text)
        return catalog.load(str(tmp_path / "claim.yaml"))

    return make


@pytest.fixture
def record(make_run: Callable[..., Run]) -> Callable[..., list[Run]]:
    """A run for each value of a metric, of the cell at a position of a claim, with seeds 0, 1, …"""

    def make(
        claim: Claim, position: int, values: Sequence[float | None], metric: str = "train_s", **fields: Any
    ) -> list[Run]:
        cell = min(claim.cells[position].ids)
        standard: dict[str, Any] = {
            "config": {"device": "cpu"},
            "machine": {"id": "m"},
            "code": {"sources_sha256": "c"},
            "data": {"fingerprint": "d"},
        }
        return [
            make_run(cell=cell, seed=seed, **standard | {"metrics": {metric: value, "total_s": 60.0}} | fields)
            for seed, value in enumerate(values)
        ]

    return make
