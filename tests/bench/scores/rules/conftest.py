"""Runs whose spans have whole seconds, so that every clock can be read by eye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bench.runs.run import Run
from bench.scores.rules import Finding

# Until the first epoch: 1 + 2 + 1 + 4 + 1 + 2 + 3 + 5 = 19 s.
BEFORE = {"start": 1, "import": 2, "device": 1, "data": 4, "build": 1, "init": 2, "compile": 3, "warm_up": 5}
TRAIN_S, EVAL_S, FINAL_S = 10, 1, 3

MakeTrained = Callable[..., Run]


@pytest.fixture
def trained(make_run: Callable[..., Run]) -> MakeTrained:
    """A run that was evaluated after each epoch with `accuracies`, and at last with `final` (with TTA, level 2).

    Without `final` the last of `accuracies` decides, as where an epoch's evaluation is as good as the last.
    """

    def make(accuracies: Sequence[float], final: float | None = None, *, first_epoch: int = 1, **fields: Any) -> Run:
        spans: list[dict[str, Any]] = []
        for name, seconds in BEFORE.items():
            _add(spans, name, seconds)
        for epoch in range(first_epoch, first_epoch + len(accuracies)):
            _add(spans, "train", TRAIN_S, epoch)
            _add(spans, "eval", EVAL_S, epoch)
        if final is not None:
            _add(spans, "final_eval", FINAL_S)
        decides = final if final is not None else accuracies[-1] if accuracies else None
        standard: dict[str, Any] = {
            "status": "ok" if (decides or 0) >= 0.94 else "not_reached",
            "spans": spans,
            "epochs": [{"epoch": i, "accuracy": accuracy} for i, accuracy in enumerate(accuracies, 1)],
            "metrics": {"target_accuracy": 0.94, "accuracy": decides},
            "config": {
                "data": {"name": "cifar10"},
                "evaluation": {"tta": 0 if final is None else 2, "epoch_tta": 0},
                "warm_up_steps": 3,
                "device": "cuda",
            },
            "data": {"name": "cifar10", "official": True, "fingerprint": "f"},
            "machine": {"id": "m"},
        }
        return make_run(**standard | fields)

    return make


def _add(spans: list[dict[str, Any]], name: str, seconds: float, epoch: int | None = None) -> None:
    start_s = spans[-1]["end_s"] if spans else 0.0
    spans.append({"name": name, "start_s": start_s, "end_s": start_s + seconds, "epoch": epoch, "device_s": None})


@pytest.fixture
def codes() -> Callable[[Sequence[Finding]], list[str]]:
    """The codes of findings, in their order."""
    return lambda findings: [finding.code for finding in findings]
