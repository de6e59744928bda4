"""Scaling efficiency: the share of its speed that a device keeps when several train one network together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.run import FINISHED, canonical_json

if TYPE_CHECKING:
    import pandas as pd

    from bench.stats import Estimate

# What a run on several devices may have otherwise than the one-device run that it is compared with.
OF_DEVICES = ("devices", "batch_per", "resolved")
COLUMNS = (
    "sweep", "recipe", "measure", "machine.id", "cell", "devices", "batch_per",
    "samples_per_s", "n", "samples_per_s_alone", "n_alone", "efficiency", "low", "high",
)  # fmt: skip


def efficiency(speeds: Sequence[float], devices: int, alone: Sequence[float]) -> Estimate:
    """The mean speed of `devices` together over as many times the mean speed of one `alone`, each in samples/s.

    The 95 % interval is Student's t of a ratio of two means: relative standard errors added in squares, with
    the degrees of freedom of Welch ("The generalization of Student's problem", 1947). It takes two runs of each;
    `n` is that of `speeds`. Raises ValueError where one of the two is empty.
    """
    from scipy import stats

    from bench.stats import Estimate, mean

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
    """What two configs have in common that differ in their devices alone, as canonical JSON."""
    return canonical_json({key: value for key, value in config.items() if key not in OF_DEVICES and value is not None})


def scaling(runs: pd.DataFrame) -> pd.DataFrame:
    """The efficiency of every cell on several devices whose one-device cell ran too: COLUMNS, of the `runs` of `load`.

    Compared are runs of the same sweep, measure and machine whose config is the same but for the devices. `n` and
    `n_alone` count the runs, `low` and `high` bound the efficiency at 95 %, NaN where one run was all.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    if {"config.devices", "samples_per_s"} <= set(runs.columns):
        done = runs[runs["status"].isin(FINISHED) & runs["samples_per_s"].notna()]
        own = tuple(f"config.{name}" for name in OF_DEVICES)
        same = ["sweep", "measure", "machine.id"]
        same += [name for name in done.columns if name.startswith("config.") and not name.startswith(own)]
        same = [name for name in same if name in done.columns]
        count = done["config.devices"].fillna(1).astype(int)
        for _, alike in done.groupby(same, dropna=False, sort=False):
            devices = count.loc[alike.index]
            alone = alike[devices == 1]["samples_per_s"].tolist()
            for cell, several in alike[devices > 1].groupby("cell", sort=False):
                if alone:
                    rows.append(_row(str(cell), several, alone))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(cell: str, several: pd.DataFrame, alone: list[float]) -> dict[str, Any]:
    first, speeds = several.iloc[0], several["samples_per_s"].tolist()
    devices = int(first["config.devices"])
    estimate = efficiency(speeds, devices, alone)
    per = first.get("config.batch_per")
    return {
        **{name: first.get(name) for name in ("sweep", "recipe", "measure", "machine.id")},
        "cell": cell,
        "devices": devices,
        "batch_per": per if isinstance(per, str) else "global",
        "samples_per_s": sum(speeds) / len(speeds),
        "n": len(speeds),
        "samples_per_s_alone": sum(alone) / len(alone),
        "n_alone": len(alone),
        "efficiency": estimate.value,
        "low": math.nan if estimate.low is None else estimate.low,
        "high": math.nan if estimate.high is None else estimate.high,
    }
