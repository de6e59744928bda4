"""Reads YAML into values and the line of each. Any file is read within fixed limits, which errors name.

Values follow YAML 1.2's core schema, plus merge keys (`<<: *alias`). The reader follows the parser's events one by one,
so that no file can use more time, memory or stack than the limits allow.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.documents import core_schema
from bench.errors import UsageError

MOST_BYTES = 1 << 18
# Values and keys; an alias counts as everything it stands for.
MOST_NODES = 20_000
MOST_DEPTH = 32
_TAGS = "tag:yaml.org,2002:"
_MERGE = "<<"

# Maps the keys and positions that lead to a value to its line.
Lines = dict[tuple[str | int, ...], int]


class BadYaml(ValueError):
    """The text says what is wrong; `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True)
class _Node:
    """A value, its number of nodes including itself, and its depth of nesting."""

    value: Any
    nodes: int = 1
    depth: int = 0


def read(path: Path) -> tuple[Any, Lines]:
    """The value in a file, and the line of each key and item. Raises `UsageError`, with file and line."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MOST_BYTES:
            raise UsageError(f"{path}: {size_bytes:,} bytes are too many for a YAML file; at most {MOST_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return parse(text)
    except BadYaml as error:
        raise UsageError(f"{path}:{error.line}: {error}") from None


def parse(text: str) -> tuple[Any, Lines]:
    """The value of the single document in a text, None if there is no document, and the line of each key and item.

    Raises `BadYaml`.
    """
    if len(text) > MOST_BYTES:
        raise BadYaml(f"{len(text):,} characters are too many; at most {MOST_BYTES:,}", 1)
    try:
        reader = _Reader(yaml.parse(text, Loader=yaml.SafeLoader))
        return reader.document(), reader.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context
        raise BadYaml(f"this is not valid YAML: {problem}", mark.line + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadYaml(f"this is not valid YAML: {error.reason}", line) from None


class _Reader:
    """Follows the events of one document."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._nodes = 0
        # None until the anchored value is complete.
        self._anchored: dict[str, _Node | None] = {}
        self.lines: Lines = {}

    def document(self) -> Any:
        next(self._events)  # the stream's start
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            return None
        value = self._node(next(self._events), (), 0).value
        next(self._events)  # the document's end
        after = next(self._events)
        if isinstance(after, yaml.DocumentStartEvent):
            raise BadYaml("a second document begins here; one is allowed", _line(after))
        return value

    def _node(self, event: yaml.Event, path: tuple[str | int, ...], depth: int) -> _Node:
        """The value that starts with `event`, nested inside `depth` others."""
        line, anchor = _line(event), getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            return self._stood_for(str(anchor), line, depth)
        self._count(1, line)
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(_scalar(event))
        else:
            if depth >= MOST_DEPTH:
                raise BadYaml(f"this is nested deeper than {MOST_DEPTH} levels, which are allowed", line)
            if anchor:
                self._anchored[anchor] = None
            is_list = isinstance(event, yaml.SequenceStartEvent)
            _check_tag(event, "seq" if is_list else "map")
            node = self._list(path, depth) if is_list else self._mapping(path, depth)
        if anchor:
            self._anchored[anchor] = node
        return node

    def _list(self, path: tuple[str | int, ...], depth: int) -> _Node:
        values: list[Any] = []
        nodes, below = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*path, len(values))
            self.lines[here] = _line(event)
            item = self._node(event, here, depth + 1)
            values.append(item.value)
            nodes, below = nodes + item.nodes, max(below, item.depth)
        return _Node(values, nodes, below + 1)

    def _mapping(self, path: tuple[str | int, ...], depth: int) -> _Node:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        nodes, below = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line, name = _line(event), self._key(event)
            is_merge = name == _MERGE and getattr(event, "style", None) is None
            if name in own:
                raise BadYaml(f"{'.'.join(map(str, (*path, name)))} appears twice in one mapping", line)
            here = (*path, name)
            if not is_merge:
                self.lines[here] = line
            item = self._node(next(self._events), here, depth + 1)
            nodes, below = nodes + 1 + item.nodes, max(below, item.depth)
            if is_merge:
                merged = _merged(item.value, line) | merged
            else:
                own[name] = item.value
        return _Node(merged | own, nodes, below + 1)

    def _key(self, event: yaml.Event) -> str:
        line = _line(event)
        self._count(1, line)
        if not isinstance(event, yaml.ScalarEvent):
            raise BadYaml("a key has to be text, not an alias, a list or a mapping", line)
        name = _scalar(event)
        if not isinstance(name, str):
            raise BadYaml(f"the key {event.value[:40]!r} is not text; put it in quotes", line)
        if event.anchor:
            self._anchored[event.anchor] = _Node(name)
        return name

    def _stood_for(self, anchor: str, line: int, depth: int) -> _Node:
        if anchor not in self._anchored:
            raise BadYaml(f"there is no &{anchor} before this *{anchor}", line)
        node = self._anchored[anchor]
        if node is None:
            raise BadYaml(f"*{anchor} stands inside &{anchor}, so its value would contain itself", line)
        self._count(node.nodes, line)
        if depth + node.depth > MOST_DEPTH:
            raise BadYaml(f"this is nested deeper than {MOST_DEPTH} levels, which are allowed", line)
        # A copy, so that changing one place does not change the others.
        return _Node(copy.deepcopy(node.value), node.nodes, node.depth)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            raise BadYaml(f"the file has more than {MOST_NODES:,} keys and values, counting aliases in full", line)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def _scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    tag = event.tag
    try:
        # JSON writes one character as the pair "\\ud83d\\ude00"; half of a pair is not a character.
        text = event.value.encode("utf-16", "surrogatepass").decode("utf-16")
        if tag is None and event.implicit[0]:
            return core_schema.scalar(text)
        for name in ("str", "int", "float", "bool", "null"):
            if tag == _TAGS + name:
                return core_schema.tagged(name, text)
    except UnicodeDecodeError:
        raise BadYaml("a text contains half of a surrogate pair; write the character itself", _line(event)) from None
    except ValueError as error:
        raise BadYaml(str(error), _line(event)) from None
    _check_tag(event, "str")
    return str(text)


def _check_tag(event: yaml.Event, kind: str) -> None:
    tag = getattr(event, "tag", None)
    if tag not in (None, "!", _TAGS + kind):
        shown = str(tag).replace(_TAGS, "!!")[:40]
        raise BadYaml(f"the tag {shown} is not allowed here", _line(event))


def _merged(value: Any, line: int) -> dict[str, Any]:
    """The keys that `<<` adds: those of a mapping, or of a list of mappings, in which earlier ones take precedence."""
    result: dict[str, Any] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            raise BadYaml("<< takes a mapping, or a list of mappings, such as *alias", line)
        result |= one
    return result
