"""Scaling efficiency: the share of its speed that a device keeps when several train one network together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.runs.run import FINISHED
from bench.text.canonical import canonical_json

if TYPE_CHECKING:
    import pandas as pd

    from bench.statistics.estimates import Estimate

# Keys in which a run on several devices may differ from the one-device run that it is compared with.
OF_DEVICES = ("devices", "nodes", "batch_per", "resolved")


def efficiency(speeds: Sequence[float], devices: int, alone: Sequence[float]) -> Estimate:
    """The mean speed of `devices` together over as many times the mean speed of one `alone`, each in samples/s.

    The 95 % interval is Student's t for a ratio of two means: the squares of the relative standard errors are added,
    with Welch's degrees of freedom ("The generalization of Student's problem", 1947). It needs two runs of each; `n` is
    that of `speeds`. Raises ValueError if one of the two is empty.
    """
    from scipy import stats

    from bench.statistics.estimates import Estimate, mean

    together, one = mean(speeds), mean(alone)
    value = together.value / (devices * one.value)
    if min(len(speeds), len(alone)) < 2:
        return Estimate(value, len(speeds), "ratio of means")
    squares = [(float(stats.sem(values)) / mean(values).value) ** 2 for values in (speeds, alone)]
    if not sum(squares):
        return Estimate(value, len(speeds), "ratio of means")
    degrees = sum(squares) ** 2 / sum(
        square**2 / (len(values) - 1) for square, values in zip(squares, (speeds, alone), strict=True)
    )
    reach = value * float(stats.t.ppf(0.975, degrees)) * math.sqrt(sum(squares))
    return Estimate(value, len(speeds), "ratio of means, Welch", value - reach, value + reach)


def one_device_config(config: Mapping[str, Any]) -> str:
    """The config without the keys about devices, as canonical JSON."""
    return canonical_json({key: value for key, value in config.items() if key not in OF_DEVICES and value is not None})


def efficiency_by_run(runs: pd.DataFrame) -> pd.Series[float]:
    """The efficiency of each run on several devices in the `runs` frame of `load`, NaN if it has none.

    A run is compared with the one-device runs of the same sweep, measure and machine whose config is otherwise equal.
    """
    import pandas as pd

    found = pd.Series(math.nan, runs.index, name="scaling_efficiency")
    for several, alone in _compared(runs):
        speeds = several["samples_per_s"] / several["config.devices"].astype(int)
        found[several.index] = speeds / (sum(alone) / len(alone))
    return found


def _compared(runs: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, list[float]]]:
    """Runs on several devices, with the samples/s of the one-device runs that are otherwise equal, if there are any."""
    if not {"config.devices", "samples_per_s"} <= set(runs.columns):
        return
    done = runs[runs["status"].isin(FINISHED) & runs["samples_per_s"].notna()]
    count = done["config.devices"].fillna(1).astype(int)
    # Grouping by whole configs is slow, and few recipes have such runs.
    done = done[done["recipe"].isin(done.loc[count > 1, "recipe"])]
    if done.empty:
        return
    own = tuple(f"config.{name}" for name in OF_DEVICES)
    same = ["sweep", "measure", "machine.id"]
    same += [name for name in done.columns if name.startswith("config.") and not name.startswith(own)]
    same = [name for name in same if name in done.columns]
    for _, alike in done.groupby(same, dropna=False, sort=False):
        devices = count.loc[alike.index]
        several, alone = alike[devices > 1], alike[devices == 1]["samples_per_s"].tolist()
        if alone and not several.empty:
            yield several, alone
