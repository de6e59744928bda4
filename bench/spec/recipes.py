"""Recipes found by name or file, read, changed by settings, and the cells that runs of them are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.documents.document import YAML_SUFFIXES, Document, is_file, parse_setting
from bench.errors import UsageError
from bench.files import PACKAGE
from bench.host.fingerprint import native_precision
from bench.registry.reference import anchored_document, anchored_values, label
from bench.runs.run import cell_id
from bench.spec import kept_nets
from bench.spec.measures import ON_SEVERAL_DEVICES, TRAIN_NOTHING, WITH_OPTIONS
from bench.spec.own import portable
from bench.spec.recipe import WORDS, Recipe
from bench.spec.task import MEASURED
from bench.text.nearest import unknown

RECIPES = PACKAGE / "recipes"
OVERLAYS = ("on_cpu", "on_cuda")


def names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def trained_names() -> list[str]:
    """Those of them that train a classifier."""
    return [name for name in names() if not {*TRAIN_NOTHING, "task"} & draft(name, "cpu").values.keys()]


def check_measure(recipe: Recipe, measure: str) -> None:
    """Raise `UsageError` for a recipe that trains nothing, where another measure than its own is asked for, and for a
    measure that does not suit its task."""
    if recipe.only_measure not in (None, measure):
        raise UsageError(
            f"this recipe trains nothing and is for one measure alone: --measure {recipe.only_measure}, not {measure}"
        )
    if recipe.task is not None and measure not in MEASURED:
        measures = ", ".join(MEASURED)
        raise UsageError(f"task: {recipe.task.name} has no {label(measure)}; its measures are {measures}")


def find(name: str) -> Path:
    """The file of a recipe, by the name of a shipped one or by a path.

    Raises `UsageError` when there is none.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        if not is_file(path):
            raise UsageError(f"there is no recipe file {name[:200]}")
        return path
    if name not in names():
        raise UsageError(f"{unknown('recipe', name, names(), 'bench recipes')}; or give a .yaml file")
    return RECIPES / f"{name}.yaml"


def draft(name: str, device: str) -> Document:
    """What the recipe `name` says for a device (`cpu` or `cuda`), to be changed and then made a `Recipe`.

    Later values replace earlier ones: first those of the recipe that it `extends`, then its own, then those below its
    `on_cpu` or `on_cuda`. Such a key may also name another recipe to take instead on that device. Raises `UsageError`
    for a recipe that does not exist, is not a mapping, or leads back to itself.
    """
    return _draft(find(name), device, ())


def _draft(path: Path, device: str, heirs: tuple[Path, ...]) -> Document:
    """The draft of a recipe file; `heirs` are the files that name it, each named by the one before."""
    own = _read(path)
    for key in OVERLAYS:
        if not isinstance(own.values.get(key) or {}, str | dict):
            what = "the keys that differ on that device, or the name of a recipe to take instead"
            own.refuse(key, f"{key} is {own.values[key]!r}; it holds {what}")
    if isinstance(own.values.get(f"on_{device}"), str):
        return _related(own, f"on_{device}", device, heirs)
    result = own
    if "extends" in own.values:
        base = _related(own, "extends", device, heirs)
        del own.values["extends"]
        result = own.laid_over(base)
    if own.values.get(f"on_{device}"):
        result = own.below(f"on_{device}").laid_over(result)
    for key in OVERLAYS:
        result.values.pop(key, None)
    return result


def _related(own: Document, key: str, device: str, heirs: tuple[Path, ...]) -> Document:
    """The draft of the recipe named at a key: a shipped one, or a file beside this one or at that path."""
    name = own.values[key]
    if not isinstance(name, str):
        own.refuse(key, f"{key} is {name!r}; it holds the name of a recipe, or a .yaml file")
    try:
        path = find(own.beside(name))
    except UsageError as error:
        own.refuse(key, f"{key}: {error}")
    chain = (*heirs, own.path)
    if path.resolve() in [one.resolve() for one in chain]:
        circle = " → ".join(one.name for one in (*chain, path))
        own.refuse(key, f"{key}: recipes must not lead back to themselves, and these do: {circle}")
    return _draft(path, device, chain)


def _read(path: Path) -> Document:
    """The recipe in a file, with the files that it names made absolute."""
    document = Document.read(path, RECIPES / "digits.yaml")
    values = anchored_document(document.values, path.parent, document.where, prose=WORDS)
    for key in OVERLAYS:
        if isinstance(overlay := values.get(key), dict):
            values[key] = anchored_document(overlay, path.parent, document.below(key).where)
    document.values = values
    return document


def load(name: str, device: str, settings: Iterable[str] | Mapping[str, Any] = ()) -> Recipe:
    """The recipe `name` for a device (`cpu` or `cuda`), with settings on top: `key=value`, or values by dotted keys.

    Raises `UsageError`, naming the file, the key, its line, what is allowed and the nearest name.
    """
    return _changed(draft(name, device), settings)


def made_of(values: Mapping[str, Any] | Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe of a file's values, or another recipe, with values by dotted keys on top. Raises `UsageError`."""
    given = values.model_dump(mode="json", exclude_unset=True) if isinstance(values, Recipe) else dict(values)
    return _changed(Document(Path("the recipe"), anchored_values(given, Path(), WORDS)), settings)


def _changed(document: Document, settings: Iterable[str] | Mapping[str, Any]) -> Recipe:
    if isinstance(settings, Mapping):
        changes = [(f"settings[{key!r}]", key, value) for key, value in settings.items()]
    else:
        changes = [(f"--set {setting}", *parse_setting("--set", setting)) for setting in settings]
    for origin, key, value in changes:
        try:
            value = anchored_values({key: value}, Path())[key]
        except UsageError as error:
            raise UsageError(f"{origin}: {error}") from None
        document.change(key, value, origin)
    return document.validate(Recipe)


def lack_of_devices(recipe: Recipe, device: str, measure: str, found: int, hosts: int = 1) -> str | None:
    """Why a run on as many devices as the recipe asks for cannot be on `hosts` with `found` each; None if it can."""
    count, of_a_node = recipe.device_count, recipe.devices_of_a_node
    if count > 1 and measure not in ON_SEVERAL_DEVICES:
        return f"{measure} uses one device, not {count}; {' and '.join(ON_SEVERAL_DEVICES)} can use several"
    if recipe.node_count > hosts:
        return f"needs {recipe.node_count} hosts, found {hosts}; --executor ray or slurm finds those of a cluster"
    if of_a_node > max(found, 1):
        where = "" if recipe.node_count == 1 else " on each host"
        return f"needs {of_a_node} {'GPUs' if device == 'cuda' else 'CPU cores'}{where}, found {found}"
    return None


def identify(
    config: Mapping[str, Any], device: str, measure: str, native: str | None = None
) -> tuple[dict[str, Any], str]:
    """The config that a record holds, and the id of its cell, which every command gives the same point.

    `precision: auto` becomes what it means on this machine, or two machines would call two things one cell; on another
    one it is `native`. What is said of inference is no part of any other measure, and what a measure does not look at
    is no part of its cells. A network trained earlier is named by its weights, where they are here.
    """
    recorded = {**config, "device": device}
    for other in WITH_OPTIONS:
        if other != measure:
            recorded.pop(other, None)
    if measure in TRAIN_NOTHING:
        kept = (measure, "device", *TRAIN_NOTHING[measure])
        return (recorded := {key: recorded.get(key) for key in kept}), cell_id(
            recorded | portable({"measure": measure})
        )
    recorded = kept_nets.identified(recorded, measure)
    if recorded.get("precision") == "auto":
        recorded["precision"] = native or native_precision(device)
    return recorded, cell_id(recorded | portable({"measure": measure}))
