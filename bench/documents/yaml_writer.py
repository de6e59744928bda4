"""Writes values as YAML text that `yaml_reader` reads back as the same values."""

from __future__ import annotations

from typing import Any

import yaml

from bench.documents import core_schema

WIDTH = 110


def write(values: Any) -> str:
    """The text; mappings and lists without nested ones take one line, and keys keep their order."""
    return yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, indent=2, default_flow_style=None
    )


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.2 would read as a number, a truth value or null; PyYAML follows YAML 1.1."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if not text.isprintable() or _is_other_than_text(text) else ">" if len(text) > WIDTH else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_other_than_text(text: str) -> bool:
    try:
        return not isinstance(core_schema.scalar(text), str)
    except ValueError:  # too large a number
        return True


_Dumper.add_representer(str, _text)
