"""Runs into MLflow, by its own client: https://mlflow.org/docs/latest/python_api/mlflow.client.html."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import UsageError
from bench.exchange.tracked_run import TrackedRun, client

T = TypeVar("T")
PACKAGE = "mlflow-skinny"
# What one call of `log_batch` takes, and how long a parameter and a tag may be.
MOST_METRICS, MOST_PARAMS, MOST_PARAM_CHARS, MOST_TAG_CHARS = 1000, 100, 6000, 5000
ID_TAG = "bench.run_id"
# Nothing is told to the makers of MLflow. A folder is a store, which newer versions want to be asked for. That a server
# is not there is known in seconds and not in minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def log_runs(runs: Sequence[TrackedRun], where: str) -> Iterator[tuple[TrackedRun, str | None]]:
    """Log each run to a folder or a tracking URI; its id there, None for a run that is there already.

    An experiment holds the runs of a sweep or of a recipe. Raises MissingError without MLflow's package, UsageError for
    what MLflow refuses.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    mlflow = client("mlflow", PACKAGE)
    uri = where if "://" in where else Path(where).resolve().as_uri()
    try:
        tracking = mlflow.MlflowClient(tracking_uri=uri)
        for one in runs:
            yield one, _log(mlflow, tracking, one)
    except (mlflow.MlflowException, OSError) as error:
        raise UsageError(f"MLflow refuses {where}: {str(error).splitlines()[0]}") from None


def _log(mlflow: Any, tracking: Any, one: TrackedRun) -> str | None:
    experiment = tracking.get_experiment_by_name(one.group)
    experiment_id = experiment.experiment_id if experiment else tracking.create_experiment(one.group)
    if tracking.search_runs([experiment_id], f"tags.`{ID_TAG}` = '{one.run.run_id}'", max_results=1):
        return None
    entities = mlflow.entities
    tags = {key: value[:MOST_TAG_CHARS] for key, value in one.facts.items() if key != ID_TAG}
    tags |= {f"bench.tag.{tag}": "true" for tag in one.run.tags}
    if one.run.notes:
        tags["mlflow.note.content"] = "\n\n".join(one.run.notes)
    made = tracking.create_run(experiment_id, start_time=_ms(one.began_s), tags=tags, run_name=one.name).info.run_id
    params = [entities.Param(_key(name), str(value)[:MOST_PARAM_CHARS]) for name, value in one.params.items()]
    metrics = [
        entities.Metric(_key(name), value, _ms(point.at_s), point.epoch)
        for point in one.epochs()
        for name, value in point.metrics.items()
    ]
    ended = _ms(one.ended_s)
    metrics += [entities.Metric(f"final/{_key(name)}", value, ended, 0) for name, value in one.metrics.items()]
    for some in _batches(params, MOST_PARAMS):
        tracking.log_batch(made, params=some)
    for some in _batches(metrics, MOST_METRICS):
        tracking.log_batch(made, metrics=some)
    status = "FINISHED" if one.is_finished else "KILLED" if one.run.status == "interrupted" else "FAILED"
    # Last, so that a run that broke off on its way is not taken for one that is there.
    tracking.set_tag(made, ID_TAG, one.run.run_id)
    tracking.set_terminated(made, status, end_time=ended)
    return str(made)


def _key(name: str) -> str:
    """A name of letters that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
