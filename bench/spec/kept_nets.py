"""Networks trained earlier that a recipe needs: where their weights are, and what a cell's identity says of them.

A setting names one by a recipe, whose newest run that kept its weights is taken, by the id of a run, or by a file. In a
cell's identity the SHA-256 of the weights stands for it, so that another training of that network makes another cell.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.documents.kept_net import KeptNet, KeptWeights
from bench.errors import BenchError, MissingError, UsageError
from bench.files import PACKAGE
from bench.ingredients.distillation import DistillationConfig
from bench.ingredients.ingredient import Ingredient
from bench.runs import weights
from bench.runs.run import INVALID, Run
from bench.runs.store import jsonl_files, read_runs
from bench.runs.weights import WeightsFile
from bench.spec.measures import TRAIN_NOTHING
from bench.spec.recipe import Recipe
from bench.spec.task import SETTINGS
from bench.tasks.settings import TaskSettings
from bench.text import units
from bench.text.nearest import did_you_mean

# The ingredients whose settings name such networks, by key.
INGREDIENTS = {"distillation": DistillationConfig}
# The measures that make no training step.
NO_STEPS = ("inference", "loading", *TRAIN_NOTHING)
# Below which the runs of this command are; set by commands that have `--results`.
RESULTS: ContextVar[Path] = ContextVar("results", default=Path("results"))
_ELSEWHERE: ContextVar[tuple[Path, ...]] = ContextVar("elsewhere", default=(PACKAGE / "published",))


@contextmanager
def judged_by(files: Iterable[Path]) -> Iterator[None]:
    """While entered, networks trained in these files of runs are known, instead of those that come with the project."""
    token = _ELSEWHERE.set(tuple(files))
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


def needed(
    recipe: Recipe, measure: str = "time_to_accuracy", cell: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, WeightsFile]:
    """The weights of every network trained earlier that a measure of the recipe needs, by its setting: those of the
    `cell`'s config if it names them, even if there are newer ones by now.

    Raises `MissingError`, with the command that trains one, and `UsageError` for a reference that fits nothing.
    """
    return {
        key: _of_cell(f"{section}.{key}", named, units.get(dict(cell), section, key, "sha256"))
        for section, settings in _sections(recipe)
        if _is_used(section, measure)
        for key in settings.NETS
        if (named := getattr(settings, key)) is not None or key not in _may_lack(settings)
    }


def setting(recipe: Recipe, key: str) -> str:
    """The whole key of a recipe's setting that names a network trained earlier."""
    return next(f"{section}.{key}" for section, settings in _sections(recipe) if key in settings.NETS)


def _sections(recipe: Recipe) -> Iterator[tuple[str, TaskSettings | Ingredient]]:
    """The parts of a recipe that can name networks trained earlier, by key: its task, or its ingredients."""
    if recipe.task is not None:
        yield "task", recipe.task
    yield from recipe.ingredients.items()


def _may_lack(settings: TaskSettings | Ingredient) -> tuple[str, ...]:
    return settings.MAY_LACK if isinstance(settings, TaskSettings) else ()


def _is_used(section: str, measure: str) -> bool:
    """Whether a measure needs the networks that a part of the recipe names: a task's only judge whole trainings."""
    return measure == "time_to_accuracy" if section == "task" else measure not in NO_STEPS


def _of_cell(setting: str, named: KeptNet | None, sha256: str | None) -> WeightsFile:
    """The weights `sha256` that the cell names; of a cell that names none, those that `named` stands for now."""
    try:
        file = _find(setting, named)
    except MissingError:  # as after the runs that trained it were declared invalid
        if sha256 is None:
            raise
    else:
        if sha256 in (None, file.identity):
            return file
    return _find(setting, KeptWeights(sha256=sha256))


def lack(recipe: Recipe, measure: str = "time_to_accuracy") -> str | None:
    """Why the recipe cannot be measured here for want of such a network; None if it can."""
    try:
        needed(recipe, measure)
    except BenchError as error:
        return str(error)
    return None


def untrained(config: Mapping[str, Any], measure: str = "time_to_accuracy") -> list[str]:
    """The recipes of the networks that a measure of a config needs and that no run here has trained and kept.

    Only of those that come with the project, because they can be trained by their name.
    """
    names = [config[section].get(key) for section, key in _settings(config) if _is_used(section, measure)]
    return [name for name in names if isinstance(name, str) and _is_recipe(name) and not _counting_runs(name)]


def identified(config: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """The config of a cell: a network trained earlier is named by its weights, if they are here.

    It is left out if `measure` does not need it.
    """
    found = dict(config)
    for section, key in _settings(config):
        settings = dict(found[section])
        if not _is_used(section, measure):
            settings.pop(key, None)  # what does not fit together is not complete
        elif isinstance(named := settings.get(key), str):
            try:
                settings[key] = {"sha256": _find(f"{section}.{key}", named).identity}
            except BenchError:
                continue  # what trains says what is missing
        found[section] = settings
    return found


def alternatives(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A config with each network that was trained for it so far, here or elsewhere.

    The config itself, if it names no recipe, or one of which there is none.
    """
    of_recipes = [(section, key) for section, key in _settings(config) if isinstance(config[section].get(key), str)]
    if not of_recipes:
        yield dict(config)
    for section, key in of_recipes[:1]:
        settings = config[section]
        found = {_identity(run) for run in (*_kept_runs(settings[key]), *_runs_elsewhere(settings[key]))}
        if not found:
            yield dict(config)
        for sha256 in sorted(found):
            yield from alternatives({**config, section: {**settings, key: {"sha256": sha256}}})


def judges_of(config: Mapping[str, Any]) -> str:
    """The weights of the networks that judged a run with this config, as text; empty if none did.

    A network that only lent its weights, or that taught, judges nothing.
    """
    judges = [
        key
        for section, key in _settings(config)
        if section == "task" and key not in SETTINGS[str(config["task"].get("name"))].STARTS
    ]
    return ", ".join(filter(None, (units.get(dict(config), "task", key, "sha256") for key in judges)))


def _settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of a config that can name networks trained earlier, each as the key of its part and its own."""
    found = []
    for section in ("task", *INGREDIENTS):
        # Of a user's command it may be any value.
        if isinstance(settings := config.get(section), Mapping):
            kind = SETTINGS.get(str(settings.get("name"))) if section == "task" else INGREDIENTS[section]
            found += [(section, key) for key in (kind.NETS if kind is not None else ())]
    return found


def _find(key: str, named: KeptNet | None) -> WeightsFile:
    results = RESULTS.get()
    if named is None:
        raise UsageError(
            f"{key}: null names no network, and the task needs one that was trained before; give the name of a recipe, "
            "a run that kept its weights, or a file of weights"
        )
    if isinstance(named, KeptWeights):
        runs = [run for run in _kept_runs() if _identity(run) == named.sha256]
        if not runs:
            raise MissingError(f"{key}: no weights with SHA-256 {named.sha256}… are below {results}")
        return weights.find(runs[-1].run_id, results, key)
    if runs := _counting_runs(named):
        return weights.find(runs[-1].run_id, results, key)
    if _is_recipe(named):
        raise MissingError(
            f"{key}: no run of {named} below {results} kept its weights; train one by "
            f"`bench run {named} --keep-weights --seeds 1`"
        )
    try:
        return weights.find(named, results, key)
    except UsageError as error:
        if not (meant := did_you_mean(named, (path.stem for path in (PACKAGE / "recipes").glob("*.yaml")))):
            raise
        raise UsageError(f"{error}. It is no recipe either{meant}; `bench list recipes` lists those") from None


def _is_recipe(name: str) -> bool:
    return (PACKAGE / "recipes" / f"{name}.yaml").is_file()


def _kept_runs(recipe: str | None = None) -> list[Run]:
    """The runs here, of this recipe, whose weights are kept, the newest last."""
    results = RESULTS.get()
    kept = {path.stem for path in weights.place_of("", results).parent.glob(f"*{weights.SUFFIX}")}
    if not kept:
        return []
    return _having_kept(_read_here(_stamped([results / "runs"]), frozenset(kept)), recipe)


def _counting_runs(recipe: str) -> list[Run]:
    """The same without those that somebody declared invalid, which no recipe's name stands for."""
    return [run for run in _kept_runs(recipe) if run.status != INVALID]


def _runs_elsewhere(recipe: str) -> list[Run]:
    return _having_kept(_read_elsewhere(_stamped(_ELSEWHERE.get())), recipe)


# Every cell of every claim asks for the runs of files. A file is read again when it has changed.
Stamped = tuple[tuple[Path, int, int], ...]


def _stamped(paths: Iterable[Path]) -> Stamped:
    """The files of runs there, each with its size and the time of its last change."""
    return tuple((file, (found := file.stat()).st_size, found.st_mtime_ns) for file in jsonl_files(paths))


@functools.lru_cache(1)
def _read_here(files: Stamped, kept: frozenset[str]) -> list[Run]:
    return read_runs([file for file, *_ in files], lambda run_id, _: run_id in kept)


@functools.lru_cache(1)
def _read_elsewhere(files: Stamped) -> list[Run]:
    return read_runs([file for file, *_ in files], lambda *_: True)


def _having_kept(runs: list[Run], recipe: str | None) -> list[Run]:
    found = [run for run in runs if _kept(run) and recipe in (None, run.recipe)]
    return sorted(found, key=lambda run: run.run_id)


def _kept(run: Run) -> str | None:
    """The SHA-256 of the weights that a run kept."""
    sha256: str | None = units.get(run.config, "resolved", "kept_weights", "sha256")
    return sha256


def _identity(run: Run) -> str:
    return str(_kept(run))[: weights.IDENTITY_DIGITS]
