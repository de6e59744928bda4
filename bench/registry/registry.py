"""The registry for all kinds of named objects: models, data sets, loaders, measures, rule books and so on.

A name is one of bench's own, or an entry point of an installed package, or `path/to/file.py:Name`, or
`package.module:Name`. Finding an object imports nothing; only `load` does.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bench.errors import UsageError
from bench.registry import importing
from bench.registry.own_code import OwnCode, names_in
from bench.registry.reference import parse
from bench.text.nearest import MOST_NAMED, did_you_mean, unknown


class Entry(Protocol):
    """The facts about one of bench's own objects before it is imported: `module:name`, and a line of description."""

    @property
    def where(self) -> str: ...

    @property
    def summary(self) -> str: ...


E = TypeVar("E", bound=Entry)
OWN = "path/to/file.py:Name or package.module:Name"


@dataclass(frozen=True)
class Info:
    """An `Entry` of which nothing else is to be known."""

    where: str
    summary: str


@dataclass(frozen=True)
class Found:
    """The object of a name; `attribute` is its name in its `module`, or in the file of `own`."""

    kind: str
    name: str
    module: str | None
    attribute: str
    own: OwnCode | None = None

    def load(self) -> Any:
        """The object itself. Raises `UsageError` and `MissingError` for errors in a user's file."""
        if self.own is None:
            return getattr(importlib.import_module(str(self.module)), self.attribute)
        module = importing.load(self.own)
        if not hasattr(module, self.attribute):
            raise UsageError(_no_such_name(self.own.file.name, self.attribute, set(vars(module))))
        return getattr(module, self.attribute)

    def check_subclass(self, base: type) -> None:
        """Raise `UsageError` unless the object is a subclass of this base."""
        thing = self.load()
        if not (isinstance(thing, type) and issubclass(thing, base)):
            raise UsageError(
                f"{self.label} is no {self.kind}: it has to be a subclass of {base.__module__}.{base.__name__}"
            )

    def errors(self) -> AbstractContextManager[None]:
        """Within it, an error is the user's: see `importing.errors_of_user`."""
        return importing.errors_of_user(self.label, self.own.bound if self.own else None)

    @property
    def identity(self) -> str | dict[str, str]:
        """Its value in a cell's config: the name of bench's own, else the name in its source and the source's hash.

        It does not contain the source's place on this machine, or the name by which it was found.
        """
        return self.name if self.own is None else {"name": self.attribute, "sources_sha256": self.own.sha256}

    @property
    def label(self) -> str:
        """For messages and tables: bench's own name, or `file.py:Name`."""
        return self.name if self.own is None else f"{self.own.file.name}:{self.attribute}"


class Registry(Mapping[str, E]):
    """What bench has of a kind, by name, and how all else of this kind is found.

    `group` is the entry points' of installed packages; `bench list GROUP` lists them all.
    """

    def __init__(self, kind: str, group: str, entries: Mapping[str, E], own: str = OWN) -> None:
        """`kind` is the word for one, `group` that for all, as in `bench.models`; `own` tells how to name others."""
        self.kind, self.group, self._entries, self._own = kind, group, dict(entries), own

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @cached_property
    def installed(self) -> dict[str, list[EntryPoint]]:
        """The entry points of installed packages, by name; one of bench's own names is not to be taken."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=f"bench.{self.group}"):
            if point.name not in self._entries:
                found.setdefault(point.name, []).append(point)
        return found

    def find(self, name: str) -> Found:
        """The object of a name. Nothing is imported.

        Raises `UsageError` for an unknown name, with the nearest ones; for a file that is missing or not Python; for a
        Name that the file lacks; and for a name that two packages offer.
        """
        if name in self._entries:
            module, _, attribute = self._entries[name].where.partition(":")
            return Found(self.kind, name, module, attribute)
        if (reference := parse(name)) is not None:
            if reference.is_file:
                return self._in_file(name, Path(reference.place), reference.name)
            try:
                return self._in_module(name, reference.place, reference.name)
            except UsageError:
                # Some of bench's own names look like those of modules.
                if difflib.get_close_matches(name, self._entries, n=1, cutoff=0.8):
                    raise UsageError(self._unknown(name)) from None
                raise
        if points := self.installed.get(name):
            return self._of_package(name, points)
        raise UsageError(self._unknown(name))

    def load(self, name: str) -> Any:
        """The object of a name, imported. Raises the errors of `find` and `Found.load`."""
        return self.find(name).load()

    def _in_file(self, name: str, file: Path, attribute: str) -> Found:
        if not file.is_file():
            near = did_you_mean(file.name, [path.name for path in file.parent.glob("*.py")])
            raise UsageError(f"there is no file {file}{near}")
        _check_name_in(file, attribute)
        return Found(self.kind, name, None, attribute, OwnCode.of(file))

    def _in_module(self, name: str, module: str, attribute: str) -> Found:
        file = _source_of(module)
        if file is None:
            raise UsageError(
                f"there is no module {module!r} for the {self.kind} {name!r}, neither beside the file that names it "
                "nor installed; name a file as path/to/file.py:Name"
            )
        if file.suffix != ".py":
            return Found(self.kind, name, module, attribute)
        _check_name_in(file, attribute)
        return Found(self.kind, name, module, attribute, OwnCode.of(file))

    def _of_package(self, name: str, points: list[EntryPoint]) -> Found:
        if len({point.value for point in points}) > 1:
            offers = " and ".join(sorted(f"{_distribution(point)} ({point.value})" for point in points))
            raise UsageError(
                f"the {self.kind} {name!r} is offered by two packages: {offers}; name it as package.module:Name"
            )
        return self._in_module(f"{points[0].module}:{points[0].attr}", points[0].module, points[0].attr)

    def _unknown(self, name: str) -> str:
        said = unknown(self.kind, name, [*self._entries, *self.installed], f"bench list {self.group}")
        if name.endswith(".py"):
            return f"{said}; say also what in that file it is, as in {Path(name).name}:Name"
        return f"{said}; name your own as {self._own}"


def _check_name_in(file: Path, attribute: str) -> None:
    try:
        names = names_in(file)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise UsageError(
            f"{file}:{error.lineno}: this is not Python: {error.msg}{f': {line}' if line else ''}"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {error}") from None
    if names is not None and attribute not in names and "__getattr__" not in names:
        raise UsageError(_no_such_name(file.name, attribute, names))


def _no_such_name(file: str, attribute: str, names: set[str]) -> str:
    public = sorted(name for name in names if not name.startswith("_"))
    near = did_you_mean(attribute, public)
    some = "" if near or not public else f"; it has {', '.join(public[:MOST_NAMED])}"
    return f"{file} has no {attribute!r}{near}{some}"


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "a package"


@cache
def _source_of(module: str) -> Path | None:
    """The file of a module, found without importing its packages; None if there is none."""
    path = None
    origin: str | None = None
    for end in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:end]), path)
        if spec is None:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin else None
