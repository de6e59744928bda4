"""A recipe: every value that decides how a network is trained, checked before anything runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import UsageError
from models import MODELS
from pipelines.datasets import DATASETS
from pipelines.loaders import LOADERS

RECIPES = Path(__file__).parent / "recipes"
OVERLAYS = ("on_cpu", "on_cuda")
WORDS = ("summary", "source", "published")

Role = Literal["filters", "head", "biases", "norm_weights", "whiten_bias"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Named(BaseModel):
    """A registered name with options that its registry checks; the bare name is short for no options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Augment(Strict):
    flip: Literal["none", "random", "alternating"] = "none"
    shift_pixels: Annotated[int, Field(ge=0)] = 0
    pad: Literal["reflect", "zero"] = "reflect"
    cutout_pixels: Annotated[int, Field(ge=0)] = 0
    brightness: NotNegative = 0.0
    contrast: NotNegative = 0.0


class OptimizerGroup(Strict):
    name: Literal["sgd", "muon", "adamw"] | None = None
    lr: Positive | None = None
    momentum: Fraction | None = None
    nesterov: bool | None = None
    weight_decay: NotNegative | None = None
    newton_schulz_steps: Count | None = None
    unit_filters: bool | None = None
    betas: tuple[Fraction, Fraction] | None = None
    epochs: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _betas_from_list(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("betas"), list):
            return {**value, "betas": tuple(value["betas"])}
        return value

    def settings(self) -> dict[str, Any]:
        """What the recipe set, nothing else, so that each optimiser's own defaults hold."""
        return {key: value for key, value in self if value is not None and key != "groups"}


# Which options an optimiser understands, beside name, lr, weight_decay and epochs.
_OPTIMIZER_OPTIONS = {
    "sgd": {"momentum", "nesterov"},
    "muon": {"momentum", "nesterov", "newton_schulz_steps", "unit_filters"},
    "adamw": {"betas"},
}


class Optimizer(OptimizerGroup):
    name: Literal["sgd", "muon", "adamw"] = "sgd"
    lr: Positive
    groups: dict[Role, OptimizerGroup] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        everything: list[tuple[str, OptimizerGroup]] = [("optimizer", self)]
        everything += [(f"optimizer.groups.{role}", group) for role, group in self.groups.items()]
        for where, group in everything:
            name = group.name or self.name
            known = _OPTIMIZER_OPTIONS[name] | {"name", "lr", "weight_decay", "epochs"}
            for key in group.settings():
                if key not in known:
                    raise ValueError(f"{where}.{key}: {name} has no such option; it has {', '.join(sorted(known))}")
            if group.lr is None and name != self.name:
                raise ValueError(f"{where}.lr: needed, because {name} does not share {self.name}'s learning rate")
        return self


class Constant(Strict):
    name: Literal["constant"]


class Linear(Strict):
    name: Literal["linear"]
    start: NotNegative = 1.0
    end: NotNegative = 0.0


class Triangular(Strict):
    name: Literal["triangular"]
    start: NotNegative = 0.2
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.23
    end: NotNegative = 0.07


class OneCycle(Strict):
    name: Literal["one_cycle"]
    div: Annotated[float, Field(ge=1)] = 20.0
    pct: Annotated[float, Field(ge=0, lt=100)] = 20.0
    max_momentum: Fraction = 0.95
    min_momentum: Fraction = 0.85


class Step(Strict):
    name: Literal["step"]
    milestones: list[Fraction] = [0.3, 0.6, 0.8]
    gamma: Positive = 0.2


Schedule = Annotated[Constant | Linear | Triangular | OneCycle | Step, Field(discriminator="name")]


class Loss(Strict):
    label_smoothing: Fraction = 0.0
    reduction: Literal["mean", "sum"] = "mean"


class Lookahead(Strict):
    every: Count = 5
    decay: Fraction = 0.95


class Evaluation(Strict):
    """`tta` is the level that decides; `epoch_tta` the one of the evaluations between epochs."""

    tta: Literal[0, 1, 2] = 0
    epoch_tta: Literal[0, 1, 2] = 0
    every_epochs: Annotated[int, Field(ge=0)] = 1
    batch_size: Count = 1000


class Recipe(Strict):
    summary: str = ""
    source: str = ""
    published: str = ""

    data: Named
    loader: str = "resident"
    workers: Annotated[int, Field(ge=0)] | None = None
    augment: Augment = Augment()

    model: Named
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "pure_fp16", "pure_bf16"] = "auto"
    compile: bool = False
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None

    batch_size: Count
    epochs: Positive
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = None
    stop_at_target: bool = False
    evaluation: Evaluation = Evaluation()
    loss: Loss = Loss()
    optimizer: Optimizer
    schedule: Schedule = Constant(name="constant")
    lookahead: Lookahead | None = None

    seeds: Count = 1
    price_per_hour: NotNegative | None = None

    @model_validator(mode="before")
    @classmethod
    def _schedule_from_name(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("schedule"), str):
            return {**value, "schedule": {"name": value["schedule"]}}
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _known("data", self.data.name, DATASETS)
        _known("loader", self.loader, LOADERS)
        _known("model", self.model.name, MODELS)
        if self.target_accuracy is not None and not DATASETS[self.data.name].learnable:
            raise ValueError(
                f"target_accuracy: {self.data.name} data has nothing to learn; set it to null to time throughput"
            )
        if self.stop_at_target and self.target_accuracy is None:
            raise ValueError("stop_at_target: needs a target_accuracy")
        if self.stop_at_target and not self.evaluation.every_epochs:
            raise ValueError("stop_at_target: needs evaluation.every_epochs of at least 1")
        if self.compile and not self.warm_up_steps:
            raise ValueError("compile: needs warm_up_steps of at least 1, or the first epoch would pay for compilation")
        return self

    def config(self) -> dict[str, Any]:
        """Every value that is no prose, as plain JSON types."""
        return self.model_dump(mode="json", exclude=set(WORDS))


def names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a recipe, by the name of a shipped one or by a path.

    Raises `UsageError` when there is none.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"there is no recipe file {path}")
        return path
    if name not in names():
        raise UsageError(
            f"unknown recipe {name!r}{_nearest(name, names())}; there are: {', '.join(names())}; or give a .yaml file"
        )
    return RECIPES / f"{name}.yaml"


def load(name: str, device: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe `name` for a device (`cpu` or `cuda`), with `key=value` settings on top.

    Raises `UsageError`, naming the file, the key, its line, what is allowed and the nearest name.
    """
    path = find(name)
    values, lines = _read(path)
    for key in OVERLAYS:
        overlay = values.pop(key, None) or {}
        if not isinstance(overlay, dict):
            raise UsageError(f"{path}: {key} holds the keys that differ on that device, not {overlay!r}")
        if key == f"on_{device}":
            merge(values, overlay)
    origin = {key: f"{path}:{line}" for key, line in lines.items()}
    for setting in settings:
        key, value = _parse_setting(setting)
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        merge(values, nested)
        origin[key] = f"--set {setting}"
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(item, path, origin) for item in error.errors())) from None


def merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Lay `changes` over `values`, key by key; a mapping that brings another `name` replaces the old one."""
    for key, new in changes.items():
        old = values.get(key)
        if isinstance(old, str) and isinstance(new, dict) and "name" not in new:
            old = values[key] = {"name": old}
        if isinstance(old, dict) and isinstance(new, dict) and new.get("name", old.get("name")) == old.get("name"):
            merge(old, new)
        else:
            values[key] = new


class _Yaml(yaml.SafeLoader):
    """YAML whose numbers are those of version 1.2: `1e-4` is a number, which PyYAML takes for text."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a YAML file, and the line of each dotted key."""
    try:
        text = path.read_text(encoding="utf-8")
        node, values = yaml.compose(text, Loader=_Yaml), yaml.load(text, Loader=_Yaml)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: this is not valid YAML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a recipe is a mapping of keys to values; see {RECIPES / 'digits.yaml'}")
    lines: dict[str, int] = {}
    _lines_of(path, node, "", lines)
    return values, lines


def _lines_of(path: Path, node: yaml.Node | None, prefix: str, lines: dict[str, int]) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            raise UsageError(f"{path}:{key.start_mark.line + 1}: {prefix}{name} stands twice in one mapping")
        seen.add(name)
        inner = "" if not prefix and name in OVERLAYS else f"{prefix}{name}."
        if inner:
            lines[f"{prefix}{name}"] = key.start_mark.line + 1
        _lines_of(path, value, inner, lines)


def _parse_setting(setting: str) -> tuple[str, Any]:
    key, separator, text = setting.partition("=")
    if not separator or not key:
        raise UsageError(f"--set {setting}: write key=value, such as --set epochs=1 or --set model.width=16")
    try:
        return key, yaml.load(text, Loader=_Yaml)
    except yaml.YAMLError:
        raise UsageError(f"--set {setting}: {text!r} is not a YAML value") from None


def _explain(error: Any, path: Path, origin: Mapping[str, str]) -> str:
    """One line for one pydantic error: where, which key, what is wrong, what is allowed."""
    parts = [str(part) for part in error["loc"]]
    if parts[:1] == ["schedule"] and len(parts) > 1:
        del parts[1]  # the union's tag, which is no key of the file
    key = ".".join(parts)
    place = next((origin[k] for k in (key, *_parents(key)) if k in origin), str(path))
    message, given = error["msg"].removeprefix("Value error, "), error.get("input")
    match error["type"]:
        case "extra_forbidden":
            allowed = _keys_at(parts[:-1])
            return f"{place}: unknown key {key!r}{_nearest(parts[-1], allowed)}; allowed here: {', '.join(allowed)}"
        case "missing":
            return f"{place}: the key {key!r} is missing"
        case "value_error":
            named = message.split(":")[0]
            return f"{origin.get(named, place)}: {f'{key}: ' if key else ''}{message}"
        case "literal_error":
            choices = error["ctx"]["expected"]
            near = _nearest(str(given), re.findall(r"'(\w+)'", choices))
            return f"{place}: {key} is {given!r}{near}; allowed: {choices}"
        case "union_tag_invalid":
            tags = error["ctx"]["expected_tags"].replace("'", "")
            tag = error["ctx"]["tag"]
            return f"{place}: {key}.name is {tag!r}{_nearest(tag, tags.split(', '))}; allowed: {tags}"
        case _:
            hint = "; accuracies are fractions: 0.94, not 94" if parts[-1:] == ["target_accuracy"] else ""
            return f"{place}: {key} is {given!r}: {message[0].lower()}{message[1:]}{hint}"


def _parents(key: str) -> Iterable[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _keys_at(parts: list[str]) -> list[str]:
    """The keys that the schema allows at a place."""
    schema: Any = Recipe.model_json_schema()
    definitions, here = schema.get("$defs", {}), schema
    for part in parts:
        here = here.get("properties", {}).get(part) or here.get("additionalProperties", {})
        options = here.get("anyOf") or here.get("oneOf") or [here]
        found = [definitions[o["$ref"].rpartition("/")[2]] for o in options if "$ref" in o]
        here = {"properties": {k: v for one in found for k, v in one["properties"].items()}} if found else here
    return list(here.get("properties", {}))


def _known(key: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"{key}: unknown name {name!r}{_nearest(name, known)}; there are: {', '.join(known)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
