"""Why two recipes of equal accuracy or cross-entropy may not be equally good: they were not asked the same, or not with
the same seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.gate.quality_metric import ACCURACY, QualityMetric
from bench.gate.source import Result
from bench.runs.labels import show

# Of the settings of `data` all but this say what a training is evaluated on.
OF_TRAINING = "data.train_count"
# The beginnings of keys that change the evaluation, and those that change the labels which a training learns.
EVALUATION = ("evaluation.tta", "evaluation.equal_views")
LABELS = ("loss.label_smoothing", "cutmix.", "distillation.")
FINGERPRINT_DIGITS = 12
MOST_SEEDS_TOLD = 4


def reservations(metric: QualityMetric, of_base: Sequence[Result], of_head: Sequence[Result]) -> list[str]:
    """Sentences about what differs between two sides, of one recipe each, so that equal values are not equally good."""
    base, head = of_base[0], of_head[0]
    notes = []
    if told := _differences(base, head, ("data.",)) or _fingerprints(base, head):
        notes.append(
            f"The two are evaluated on different data ({told}), where the same {metric.name} may be harder to reach."
        )
    if told := _differences(base, head, EVALUATION):
        notes.append(
            f"The two are evaluated differently ({told}), so the difference may not be that of training alone."
        )
    if metric.depends_on_labels and (told := _differences(base, head, LABELS)):
        notes.append(
            f"The two are trained on different labels ({told}), which changes how sure of its answers a network is: a "
            f"lower {metric.name} then need not mean more right answers. Compare them with {ACCURACY.option}, too."
        )
    if of_one := _seeds(of_base) ^ _seeds(of_head):
        notes.append(
            f"The two have runs of different seeds (one side alone has {_listed(sorted(of_one))}), and a seed may be "
            "good or bad at every length: choose the same seeds for both."
        )
    return notes


def _seeds(side: Sequence[Result]) -> set[int]:
    """Those of the finished runs."""
    return {result.seed for result in side if result.metrics and result.seed is not None}


def _listed(seeds: Sequence[int]) -> str:
    more = ", …" if len(seeds) > MOST_SEEDS_TOLD else ""
    return ", ".join(map(str, seeds[:MOST_SEEDS_TOLD])) + more


def _differences(base: Result, head: Result, beginnings: Iterable[str]) -> str:
    """`evaluation.tta: 2 and 0`, for each key that begins so and differs."""
    keys = sorted(key for key in base.config.keys() | head.config.keys() if key.startswith(tuple(beginnings)))
    pairs = {key: (base.config.get(key), head.config.get(key)) for key in keys if key != OF_TRAINING}
    return "; ".join(f"{key}: {show(one)} and {show(other)}" for key, (one, other) in pairs.items() if one != other)


def _fingerprints(base: Result, head: Result) -> str:
    """The data's, if they differ without a setting that says why."""
    one, other = base.data_fingerprint, head.data_fingerprint
    if not one or not other or one == other or base.config.get(OF_TRAINING) != head.config.get(OF_TRAINING):
        return ""
    return f"fingerprint: {one[:FINGERPRINT_DIGITS]} and {other[:FINGERPRINT_DIGITS]}"
