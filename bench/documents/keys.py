"""The keys that a document may have, from the schema that checks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel


def keys_of(model: type[BaseModel]) -> list[str]:
    """Every key with dots between its names, as in `optimizer.lr`; keys within a list have the list's before them."""
    schema = model.model_json_schema()
    return list(dict.fromkeys(_below("", schema, schema.get("$defs", {}))))


def _below(prefix: str, part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """The keys in the alternatives, items and values of a part of the schema."""
    if "$ref" in part:
        yield from _below(prefix, definitions[part["$ref"].rpartition("/")[2]], definitions)
    for name, inner in part.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from _below(f"{prefix}{name}.", inner, definitions)
    for inner in (*part.get("anyOf", []), *part.get("oneOf", []), part.get("items"), part.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from _below(prefix, inner, definitions)
