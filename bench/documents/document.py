"""A YAML file that remembers where each value was set, so that errors name the file, the line and the key."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from bench.errors import UsageError
from bench.text.nearest import choices, did_you_mean

M = TypeVar("M", bound=BaseModel)

YAML_SUFFIXES = (".yaml", ".yml")
# The kinds of pydantic errors that occur when each value by itself is allowed.
_COMBINATION = {"value_error", "missing"}


class Incompatible(UsageError):
    """Each value by itself is allowed, but their combination is not."""


class Document:
    """A mapping of keys to values, and where each dotted key was set."""

    def __init__(self, path: Path, values: dict[str, Any], origin: Mapping[str, str] | None = None) -> None:
        self.path, self.values, self.origin = path, values, dict(origin or {})

    @classmethod
    def read(cls, path: Path, example: Path) -> Document:
        """The mapping in a YAML file.

        Raises `UsageError` for a file that cannot be read or does not hold a mapping; the message points to `example`.
        """
        from bench.documents import yaml_reader  # not where a document is made of a command line

        values, lines = yaml_reader.read(path)
        if not isinstance(values, dict):
            raise UsageError(f"{path}: this should be a mapping of keys to values; see {example}")
        return cls(path, values, {".".join(map(str, keys)): f"{path}:{line}" for keys, line in lines.items()})

    def copy(self) -> Document:
        return Document(self.path, copy.deepcopy(self.values), self.origin)

    def below(self, key: str) -> Document:
        """The mapping at a top-level key, as a document of its own."""
        prefix = f"{key}."
        origin = {k.removeprefix(prefix): place for k, place in self.origin.items() if k.startswith(prefix)}
        return Document(self.path, copy.deepcopy(self.values[key]), origin)

    def laid_over(self, base: Document) -> Document:
        """These values over those of `base`, key by key as `merge` does it; each key keeps the place that set it."""
        both = Document(self.path, copy.deepcopy(base.values))
        merge(both.values, copy.deepcopy(self.values))
        kept = {key: place for key, place in base.origin.items() if _is_set(both.values, key)}
        both.origin = kept | self.origin
        return both

    def change(self, key: str, value: Any, origin: str) -> None:
        """Change the value at a dotted key; errors about it will name `origin`."""
        nested = copy.deepcopy(value)
        for part in reversed(key.split(".")):
            nested = {part: nested}
        merge(self.values, nested)
        self.origin[key] = origin

    def beside(self, name: str) -> str:
        """The path of the .yaml file of this name in this file's folder, if there is one; otherwise the name."""
        path = self.path.parent / name
        return str(path) if path.suffix in YAML_SUFFIXES and is_file(path) else name

    def where(self, key: str) -> str:
        """The place that set a dotted key, else one of its parents, else something inside it, else the file."""
        inside = (known for known in self.origin if known.startswith(f"{key}."))
        return next((self.origin[k] for k in (key, *_parents(key), *inside) if k in self.origin), str(self.path))

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise the `UsageError` for a mistake at a dotted key."""
        raise UsageError(f"{self.where(key)}: {why}")

    def validate(self, model: type[M]) -> M:
        """The values as a `model`.

        Raises `Incompatible` if the values do not fit together, and `UsageError` if one of them is not allowed. Each
        line of the message names the place, the key, what is allowed and the nearest name.
        """
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            errors = error.errors()
            kind = Incompatible if {item["type"] for item in errors} <= _COMBINATION else UsageError
            raise kind("\n".join(self._explain(item, model) for item in errors)) from None

    def _explain(self, error: Any, model: type[BaseModel]) -> str:
        """One line of message for one pydantic error."""
        parts = [str(part) for part in error["loc"]]
        if _begins_with_tag(parts, self.values):
            del parts[1]  # the union's tag, which is not a key of the file
        key = ".".join(parts)
        place = self.where(key)
        message, given = error["msg"].removeprefix("Value error, "), error.get("input")
        match error["type"]:
            case "extra_forbidden":
                allowed = _keys_at(model, parts[:-1])
                near = did_you_mean(parts[-1], allowed)
                there_are = choices(allowed, getattr(model, "LISTED_BY", None))
                return f"{place}: unknown key {key!r}{near}; {there_are}"
            case "missing":
                return f"{place}: the key {key!r} is missing"
            case "value_error" | "unknown_name":
                named = message.split(":")[0]
                inside = f"{key}: " if key and not message.startswith(f"{key}.") else ""
                return f"{self.origin.get(named, place)}: {inside}{message}"
            case "literal_error":
                expected = error["ctx"]["expected"]
                near = did_you_mean(str(given), re.findall(r"'(\w+)'", expected))
                return f"{place}: {key} is {given!r}{near}; allowed: {expected}"
            case "union_tag_invalid":
                tags = error["ctx"]["expected_tags"].replace("'", "").removesuffix(", own")
                tag = error["ctx"]["tag"]
                return f"{place}: {key}.name is {tag!r}{did_you_mean(tag, tags.split(', '))}; allowed: {tags}"
            case _:
                hint = "; accuracies are fractions: 0.94, not 94" if key.endswith(("accuracy", "target")) else ""
                return f"{place}: {key} is {given!r}: {message[0].lower()}{message[1:]}{hint}"


def merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Merge `changes` into `values` key by key; a mapping with another `name` replaces the old mapping."""
    for key, new in changes.items():
        old = values.get(key)
        if isinstance(old, str) and isinstance(new, dict) and "name" not in new:
            old = values[key] = {"name": old}
        if isinstance(old, dict) and isinstance(new, dict) and new.get("name", old.get("name")) == old.get("name"):
            merge(old, new)
        else:
            values[key] = new


def parse_setting(option: str, setting: str) -> tuple[str, Any]:
    """Key and value of the command line's `key=value`; the value is YAML."""
    from bench.documents import yaml_reader

    key, separator, text = setting.partition("=")
    if not separator or not key:
        raise UsageError(f"{option} {setting}: write key=value, such as {option} epochs=1 or {option} model.width=16")
    if key.count(".") >= yaml_reader.MOST_DEPTH or not all(key.split(".")):
        raise UsageError(
            f"{option} {key[:80]}: a key is names with dots between, at most {yaml_reader.MOST_DEPTH} of them, "
            "as in model.width"
        )
    try:
        return key, yaml_reader.parse(text)[0]
    except yaml_reader.BadYaml as error:
        raise UsageError(f"{option} {key}: {text[:80]!r} is not a YAML value: {error}") from None


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file; False for a name that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False for a name that is too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def refuse(key: str, why: str) -> NoReturn:
    """For a model's validators: refuse a value, as an error of this value alone."""
    raise PydanticCustomError("unknown_name", "{text}", {"text": f"{key}: {why}"})


def _is_set(values: Any, key: str) -> bool:
    """Whether there is a value at a dotted key of mappings and lists."""
    for part in key.split("."):
        if isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        elif isinstance(values, dict) and part in values:
            values = values[part]
        else:
            return False
    return True


def _parents(key: str) -> Iterable[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _begins_with_tag(parts: list[str], values: Mapping[str, Any]) -> bool:
    """Whether the second part of an error's place only says which member of a union was taken."""
    if len(parts) < 2 or parts[0] != "task":
        return len(parts) > 1 and parts[0] == "schedule"
    given = values.get("task")
    return parts[1] == (given.get("name") if isinstance(given, dict) else given)


def _keys_at(model: type[BaseModel], parts: list[str]) -> list[str]:
    """The keys that the schema allows below `parts`."""
    schema: Any = model.model_json_schema()
    definitions, here = schema.get("$defs", {}), schema
    for part in parts:
        here = here.get("properties", {}).get(part) or here.get("items") or here.get("additionalProperties", {})
        options = here.get("anyOf") or here.get("oneOf") or [here]
        options = [one for option in options for one in option.get("oneOf", [option])]
        found = [definitions[o["$ref"].rpartition("/")[2]] for o in options if "$ref" in o]
        if keys := {k: v for one in found for k, v in one.get("properties", {}).items()}:
            here = {"properties": keys}
        else:
            here = next((option for option in [*found, *options] if "items" in option), here)
    return list(here.get("properties", {}))
