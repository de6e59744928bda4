"""What a recipe names that is not bench's own: which files it is in, and what a cell's identity says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import MissingError
from bench.models import MODELS
from bench.pipelines.augmentations import AUGMENTATIONS
from bench.pipelines.datasets import DATASETS
from bench.pipelines.datasets.own import content_sha256
from bench.pipelines.errors import PipelineError
from bench.pipelines.loaders import LOADERS
from bench.registry.reference import is_path, label
from bench.registry.registry import Found, Registry
from bench.spec.measures import MEASURES
from bench.training.registries import OPTIMIZERS, SCHEDULES

Place = tuple[dict[str, Any], str, Registry[Any]]


def portable(config: dict[str, Any]) -> dict[str, Any]:
    """The config, in place, with each name of a user's thing replaced by what it holds.

    Of code that is the name in its source and the hash of the sources, of data in files the name of the file and a hash
    of the contents. Where they lie on this machine is no part of it. Raises `MissingError` where data is not there.
    """
    for holder, key, registry in _places(config):
        if (name := holder.get(key)) and name not in registry:
            identity = _identity(name, registry)
            if key == "name":
                holder |= identity
            else:
                holder[key] = identity
    return config


def labelled(config: dict[str, Any]) -> dict[str, Any]:
    """The config, in place, with each name of a user's thing as tables show it: without folders."""
    for holder, key, _ in _places(config):
        if name := holder.get(key):
            holder[key] = label(name)
    return config


def described(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a record says of each of a user's things that the config names: kind, name, path and hash."""
    told = []
    for holder, key, registry in _places(config):
        if (name := holder.get(key)) and name not in registry:
            path = name if is_path(name) else _shown(registry.find(name))
            told.append({"kind": registry.kind, **_identity(name, registry), "path": path})
    return told


def _identity(name: str, registry: Registry[Any]) -> dict[str, str]:
    if registry is DATASETS and is_path(name):
        try:
            return {"name": Path(name).name, "content_sha256": content_sha256(Path(name))}
        except PipelineError as error:
            raise MissingError(str(error)) from None
    identity = registry.find(name).identity
    return identity if isinstance(identity, dict) else {"name": identity}


def _shown(found: Found) -> str:
    return found.own.shown if found.own else f"{found.module}"


def _places(config: Mapping[str, Any]) -> Iterator[Place]:
    """Each place of the config where a thing is named."""
    for key, registry in (("model", MODELS), ("data", DATASETS)):
        if isinstance(holder := config.get(key), dict):
            yield holder, "name", registry
    if isinstance(config.get("loader"), str) and isinstance(config, dict):
        yield config, "loader", LOADERS
    if isinstance(config.get("measure"), str) and isinstance(config, dict):
        yield config, "measure", MEASURES
    optimizer, schedule, augment = (config.get(key) or {} for key in ("optimizer", "schedule", "augment"))
    for holder in (optimizer, *(optimizer.get("groups") or {}).values()):
        yield holder, "name", OPTIMIZERS
    yield schedule, "name", SCHEDULES
    for holder in augment.get("then") or ():
        yield holder, "name", AUGMENTATIONS
