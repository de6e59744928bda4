"""What a shell completes: names of recipes, matrices, data sets and prices, and the keys and values of `--set`.

Each function is given the beginning of a word and returns the words that begin so. None of them imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bench.files import PACKAGE

KINDS = (
    "models",
    "datasets",
    "loaders",
    "measures",
    "rules",
    "optimizers",
    "schedules",
    "augmentations",
    "recipes",
    "matrices",
    "cards",
    "tasks",
    "keys",
    "matrix-keys",
)


def recipes(incomplete: str) -> list[str]:
    return _beginning(incomplete, _stems("recipes"))


def matrices(incomplete: str) -> list[str]:
    return _beginning(incomplete, _stems("matrices"))


def kinds(incomplete: str) -> list[str]:
    """What `bench list` lists."""
    return _beginning(incomplete, KINDS)


def datasets(incomplete: str) -> list[str]:
    from bench.pipelines.datasets import DATASETS

    return _beginning(incomplete, DATASETS)


def measures(incomplete: str) -> list[str]:
    from bench.spec.measures import MEASURES

    return _beginning(incomplete, MEASURES)


def rules(incomplete: str) -> list[str]:
    from bench.scores.rules import RULES

    return _beginning(incomplete, RULES)


def prices(incomplete: str) -> list[str]:
    from bench.spec.prices import table

    return _beginning(incomplete, table())


def cards(incomplete: str) -> list[str]:
    from bench.profiling.cards import table

    return _beginning(incomplete, table())


def settings(incomplete: str) -> list[str]:
    """`KEY=` before the equals sign; after it `KEY=VALUE`, where the values of the key have names."""
    from bench.spec.recipe import Recipe

    key, separator, value = incomplete.partition("=")
    if not separator:
        return _beginning(key, [f"{name}=" for name in Recipe.model_fields])
    return [f"{key}={name}" for name in _beginning(value, _values(key, Recipe))]


def _values(key: str, recipe: Any) -> list[str]:
    """The names that a recipe's key may have as its value; none where it takes numbers."""
    from bench.models import MODELS
    from bench.pipelines.datasets import DATASETS
    from bench.pipelines.loaders import LOADERS

    named: dict[str, Iterable[str]] = {"model": MODELS, "data": DATASETS, "loader": LOADERS}
    if key in named:
        return list(named[key])
    field = recipe.model_fields.get(key)
    return [] if field is None else [str(one) for one in _literals(field.annotation)]


def _literals(hint: Any) -> list[object]:
    """The values of the Literals in a type, as YAML has them."""
    if hint is bool:
        return ["true", "false"]
    if get_origin(hint) is Literal:
        return [str(one).lower() if isinstance(one, bool) else one for one in get_args(hint)]
    return [one for part in get_args(hint) for one in _literals(part)]


def _stems(folder: str) -> list[str]:
    return sorted(path.stem for path in Path(PACKAGE, folder).glob("*.yaml"))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
