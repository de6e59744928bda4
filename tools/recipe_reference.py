"""Writes docs/recipe_reference.md: every key of a recipe, from the schema that checks it.

A key's meaning is the docstring below its field; that of a mapping's class introduces its section.

    python -m tools.recipe_reference
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.spec.recipe import Recipe
from tools.rooms import ROOT

OUT = ROOT / "docs" / "recipe_reference.md"
SOURCES = [path for room in ("spec", "ingredients", "tasks") for path in sorted((ROOT / "bench" / room).glob("*.py"))]
# Larger limits only catch typing errors.
LARGEST_TOLD = 1_000_000
HEAD = """# Keys of a recipe

Written by `python -m tools.recipe_reference` from the schema; do not edit. [recipes.md](recipes.md) explains how to use
recipes, and the ingredients. A key that is null or left out is off. `--set KEY=VALUE` takes the same keys, with
dots between the names: `--set optimizer.lr=0.1`.
"""


def document() -> str:
    """The page as Markdown."""
    schema, told = Recipe.model_json_schema(), descriptions()
    sections = [HEAD, "## Top level", _table(schema, "Recipe", schema["properties"], schema["required"], told)]
    for key, definition in _mappings(schema):
        name, parts = definition
        docstring = parts.get("description", "").replace("\n\n", "\n").replace("\n", " ")
        table = _table(schema, name, parts["properties"], parts.get("required", []), told)
        sections += [f"## `{key}`", *filter(None, [docstring]), table]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def descriptions() -> dict[str, dict[str, str]]:
    """By class and field: the docstring below the field, of the class or of one that it inherits from."""
    found: dict[str, dict[str, str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            inherited = [found.get(base.id, {}) for base in node.bases if isinstance(base, ast.Name)]
            found[node.name] = {key: text for one in inherited for key, text in one.items()} | dict(_fields(node))
    return found


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, following in zip(node.body, node.body[1:], strict=False):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if is_field and is_text:
            yield field.target.id, str(following.value.value)  # type: ignore[attr-defined]


def _mappings(schema: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, Mapping[str, Any]]]]:
    """The keys whose values are mappings, with the name and schema of each form of the mapping, depth first."""
    waiting = [(key, part) for key, part in schema["properties"].items()]
    seen = set()
    while waiting:
        key, part = waiting.pop(0)
        for name in _references(part):
            definition = schema["$defs"][name]
            if "properties" not in definition:
                waiting.insert(0, (key, definition))
            elif name != "Named" and (key, name) not in seen:
                seen.add((key, name))
                kind = definition["properties"].get("name", {}).get("const")
                title = f"{key}: {{name: {kind}}}" if kind else "schedule: your own" if key == "schedule" else key
                yield title, (name, definition)
                waiting[:0] = [(f"{key}.{inner}", value) for inner, value in definition["properties"].items()]


def _references(part: Any) -> Iterator[str]:
    """The definitions that a schema refers to, in its alternatives, items and values."""
    if "$ref" in part:
        yield part["$ref"].rpartition("/")[2]
    for inner in (*part.get("anyOf", []), *part.get("oneOf", [])):
        yield from _references(inner)
    for inner in (part.get("items"), part.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from _references(inner)


def _table(
    schema: Mapping[str, Any],
    name: str,
    properties: Mapping[str, Any],
    required: list[str],
    told: Mapping[str, Mapping[str, str]],
) -> str:
    rows = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for key, part in properties.items():
        default = "required" if key in required else _default(part.get("default"))
        meaning = told.get(name, {}).get(key, "")
        rows.append(f"| `{key}` | {_kind(schema, part)} | {default} | {meaning} |".replace("  ", " "))
    return "\n".join(rows)


def _default(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, dict):
        return "see below"
    return _code(value)


def _code(value: Any) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(schema: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """The allowed values of a schema, in words."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        definition = schema["$defs"][name]
        if name == "Named":
            return "a name, or a mapping of `name` and options"
        return "mapping" if "properties" in definition else _kind(schema, definition)
    if "const" in part or "enum" in part:
        return ", ".join(map(_code, part.get("enum") or [part["const"]]))
    if alternatives := part.get("anyOf") or part.get("oneOf"):
        kinds = dict.fromkeys(_kind(schema, one) for one in alternatives if one.get("type") != "null")
        return " or ".join(kinds)
    match part.get("type"):
        case "array" if "prefixItems" in part:
            return f"list of {len(part['prefixItems'])}: {_kind(schema, part['prefixItems'][0])}"
        case "array":
            return f"list of: {_kind(schema, part['items'])}" if part.get("items") else "list"
        case "integer":
            return f"whole number{_bounds(part)}"
        case "number":
            return f"number{_bounds(part)}"
        case "boolean":
            return "`true`, `false`"
        case "object":
            return "mapping"
        case "string":
            return "text"
    return "any"


def _bounds(part: Mapping[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {part[key]:g}" for key, sign in words.items() if key in part and abs(part[key]) < LARGEST_TOLD]
    return f" {', '.join(told)}" if told else ""


def main(out: Path = OUT) -> None:
    out.write_text(document(), encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
