"""Imports a user's file into this process, with its own folder on the path and without name conflicts.

A user's package `models` is imported as `models`, as in the user's own script. Other modules of this name in the
process remain valid for those who imported them before.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, MissingError, UsageError
from bench.registry.own_code import RESERVED, OwnCode

# Imported modules by file and content.
_LOADED: dict[tuple[Path, bytes], ModuleType] = {}


class _Source(SourceFileLoader):
    """Always compiles the source and writes no compiled module, which could be older within the same second."""

    def path_stats(self, path: str) -> Any:  # noqa: ARG002
        raise OSError("no compiled module is looked for")


_KINDS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, SOURCE_SUFFIXES))


class _Neighbours(MetaPathFinder):
    """Finds the modules in `roots`, before installed ones of the same name while `goes_first`, else after them."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots, self.goes_first = tuple(map(str, roots)), True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            own = [folder for folder in path if any(Path(folder).is_relative_to(root) for root in self.roots)]
            return self._find(fullname, own)
        if fullname in RESERVED:
            return None
        if not self.goes_first and PathFinder.find_spec(fullname) is not None:
            return None
        return self._find(fullname, self.roots)

    def _find(self, fullname: str, folders: Sequence[str]) -> ModuleSpec | None:
        for folder in folders:
            found = FileFinder(folder, *_KINDS).find_spec(fullname)
            # As in Python, a folder without __init__.py is a package only if nothing else has the name.
            if found is not None and (found.loader is not None or PathFinder.find_spec(fullname) is None):
                return found
        return None


def load(own: OwnCode) -> ModuleType:
    """The file's module, imported once. Raises the errors of `errors_of_user`."""
    key = own.file, own.file.read_bytes()
    if key not in _LOADED:
        with errors_of_user(own.shown if own.is_installed else own.file.name, own.bound):
            _LOADED[key] = _import(own)
    return _LOADED[key]


@contextmanager
def errors_of_user(what: str, bound: Path | None) -> Iterator[None]:
    """Report an error of the user's code with the frames of files in `bound`.

    Raises `UsageError`, or `MissingError` if a package is not installed.
    """
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        told = _told(error, bound)
        name = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
        if name and (bound is None or not (bound / name).exists()):
            raise MissingError(
                f"{what} needs the package {name}, which is not installed here; install it for {sys.executable}\n{told}"
            ) from error
        if isinstance(error, SystemExit):
            told += "\nkeep what runs a training below `if __name__ == '__main__':`, where an import does not run it"
        raise UsageError(f"{what}: an error in your code\n{told}") from error


def _told(error: BaseException, bound: Path | None) -> str:
    """The error and the frames in `bound`, formatted as in Python."""
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if bound and Path(frame.filename).is_relative_to(bound)]
    told = [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n' for frame in frames]
    return "".join([*told, *traceback.format_exception_only(error)]).rstrip()


def _import(own: OwnCode) -> ModuleType:
    if own.is_installed:
        return importlib.import_module(own.module or own.file.stem)
    finder = next((each for each in sys.meta_path if isinstance(each, _Neighbours) and each.roots == _texts(own)), None)
    if finder is None:
        finder = _Neighbours(own.roots)
        sys.meta_path.insert(0, finder)
    finder.goes_first = True
    try:
        with _out_of_the_way(own):
            importlib.invalidate_caches()
            return importlib.import_module(own.module) if own.module else _import_alone(own.file)
    finally:
        finder.goes_first = False


def _texts(own: OwnCode) -> tuple[str, ...]:
    return tuple(map(str, own.roots))


def _import_alone(file: Path) -> ModuleType:
    name = f"_bench_own_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_Source(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle need it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _out_of_the_way(own: OwnCode) -> Iterator[None]:
    """Hide other modules with the names of the user's modules until these are imported."""
    tops = {_top_name(path, own.roots) for path in own.files.values() if own.module or path != own.file}
    others = {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] in tops and not _is_below(module, own.roots)
    }
    for name in others:
        del sys.modules[name]
    try:
        yield
    finally:
        taken = {name.partition(".")[0] for name in others}
        for name in [name for name in sys.modules if name.partition(".")[0] in taken]:
            del sys.modules[name]
        sys.modules.update(others)


def _top_name(path: Path, roots: Sequence[Path]) -> str:
    root = next((root for root in roots if path.is_relative_to(root)), path.parent)
    return Path(path.relative_to(root).parts[0]).stem


def _is_below(module: ModuleType, roots: Sequence[Path]) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).is_relative_to(root) for place in places for root in roots)
