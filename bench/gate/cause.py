"""Why head is slower: the parts of the runs that explain the difference, largest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.runs.run import Run

# Parts below this share of the difference are not named.
LEAST_SHARE = 0.1
MOST_PARTS = 3
# Spans without information about their content.
UNTOLD = ("rest", "load_and_train")


@dataclass(frozen=True)
class Part:
    """A part that took longer: its seconds on both sides, and its share of the whole difference.

    `kind` is `span` of a run, `function` of a Python script or `operator` of torch.
    """

    kind: str
    name: str
    base_s: float
    head_s: float
    share: float


def of_spans(pairs: Sequence[tuple[Run, Run]]) -> list[Part]:
    """The spans whose medians explain the difference of the total times; empty if the runs have no spans."""
    sides = [[_seconds(run.spans) for run in side] for side in zip(*pairs, strict=True)]
    names = {name for side in sides for run in side for name in run}
    base, head = ({name: median(run.get(name, 0.0) for run in side) for name in names} for side in sides)
    parts = explain("span", base, head)
    return [] if all(part.name in UNTOLD for part in parts) else parts


def least(profiles: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The smallest seconds of each part over several profiles, because disturbances only add time."""
    names = {name for profile in profiles for name in profile}
    return {name: min(profile.get(name, 0.0) for profile in profiles) for name in names}


def explain(kind: str, base: Mapping[str, float], head: Mapping[str, float]) -> list[Part]:
    """The parts, by seconds of each side, that explain most of the difference of their sums."""
    names = sorted(base.keys() | head.keys())
    difference = sum(head.values()) - sum(base.values())
    if difference <= 0:
        return []
    parts = []
    for name in names:
        base_s, head_s = base.get(name, 0.0), head.get(name, 0.0)
        parts.append(Part(kind, name, base_s, head_s, (head_s - base_s) / difference))
    return sorted((one for one in parts if one.share >= LEAST_SHARE), key=lambda one: -one.share)[:MOST_PARTS]


def _seconds(spans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for span in spans:
        found[span["name"]] += float(span["end_s"]) - float(span["start_s"])
    return found
