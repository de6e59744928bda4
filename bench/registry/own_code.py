"""The sources of a user's object: its file, and the files that it imports from nearby. Nothing is imported here."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from bench.files import sha256_of_files
from bench.registry.reference import repository_of

_INSTALLED = ("site-packages", "dist-packages")
# Names that always mean Python's own modules or this harness.
RESERVED = sys.stdlib_module_names | {"bench"}


@dataclass(frozen=True)
class OwnCode:
    """A file and the sources beside it that it imports.

    `roots` are the folders from which it imports: the one that contains its outermost package, or itself, and the top
    of its repository. `bound` contains all sources that count: the repository, or the folder of an installed package.
    Imports are read from the sources, so dynamic imports by `importlib` are not followed.
    """

    file: Path
    roots: tuple[Path, ...]
    bound: Path

    @classmethod
    def of(cls, file: Path) -> OwnCode:
        """That of a file; what it imports is looked at once, when somebody first asks for `files`."""
        file = Path(os.path.abspath(file))
        if set(file.parts) & set(_INSTALLED):
            return _of_installed(file)
        root = _import_root(file)
        top = repository_of(root.resolve()) or root
        return cls(file, tuple(dict.fromkeys((root, top))), top)

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """The sources by their names relative to the folder of the file, sorted."""
        return dict(sorted(_reachable(self.file, self.roots, self.bound).items()))

    @property
    def is_installed(self) -> bool:
        """Whether it belongs to an installed package."""
        return self.roots[0].name in _INSTALLED

    @cached_property
    def sha256(self) -> str:
        """The hash over relative names and contents, the same for equal sources in another folder or under another file
        name."""
        named = (("" if path == self.file else name, path.read_bytes()) for name, path in self.files.items())
        return sha256_of_files(
            {
                name: hashlib.sha256(content).hexdigest()
                for name, content in named
                if content.strip() or not name.endswith("__init__.py")
            }
        )

    def mentions(self, word: str) -> bool:
        """Whether the word stands in a source; of an installed package the file itself is looked at alone."""
        paths = [self.file] if self.is_installed else self.files.values()
        return any(word.encode() in path.read_bytes() for path in paths)

    @property
    def module(self) -> str | None:
        """Its dotted name from the first root if it is in a package; None otherwise."""
        parts = list(self.file.relative_to(self.roots[0]).with_suffix("").parts)
        if len(parts) < 2:
            return None
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def shown(self) -> str:
        """Where the file is: from the top of its repository, or of the folder of installed packages; else all of it."""
        root = self.roots[-1]
        is_known = ((root / ".git").exists() or self.is_installed) and self.file.is_relative_to(root)
        return self.file.relative_to(root).as_posix() if is_known else str(self.file)


@cache
def _of_installed(file: Path) -> OwnCode:
    """That of a part of an installed package, which stays as it is, and may import hundreds of files."""
    root = _import_root(file)
    return OwnCode(file, (root,), file if root == file.parent else root / file.relative_to(root).parts[0])


def names_in(file: Path) -> set[str] | None:
    """The names that a source defines at its top level; None if that cannot be known without running it.

    Raises SyntaxError, OSError, and ValueError for a file that holds a null byte.
    """
    names: set[str] = set()
    for node in _statements(ast.parse(file.read_bytes(), str(file)).body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            case _:
                used = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
                if any(one.id in ("globals", "vars", "exec", "setattr") for one in used):
                    return None
                names |= {one.id for one in used if isinstance(one.ctx, ast.Store)}
    return None if "*" in names else names


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block; compound statements are replaced by those inside."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            handlers = [handler.body for handler in getattr(node, "handlers", [])]
            for block in (node.body, *handlers, getattr(node, "orelse", []), getattr(node, "finalbody", [])):
                yield from _statements(block)
        else:
            yield node


def _import_root(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _reachable(file: Path, roots: tuple[Path, ...], bound: Path) -> dict[str, Path]:
    found: dict[Path, None] = {}
    waiting = [file, *_packages_of(file, roots[0])]
    while waiting:
        path = waiting.pop()
        if path not in found and path.resolve().is_relative_to(bound.resolve()):
            found[path] = None
            waiting += _imported_by(path, roots)
    return {Path(os.path.relpath(path, file.parent)).as_posix(): path for path in found}


def _packages_of(file: Path, root: Path) -> list[Path]:
    """The packages that are imported before a module in them is."""
    inside = [parent for parent in file.parents if parent != root and parent.is_relative_to(root)]
    return [path for folder in inside if (path := folder / "__init__.py").is_file()]


def _imported_by(path: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):  # importing it reports the mistake
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _by_name(alias.name.split("."), roots)
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            places = (path.parents[node.level - 1],) if 0 < node.level <= len(path.parents) else roots
            if node.level == 0 or parts:
                yield from _by_name(parts, places, is_relative=node.level > 0)
            for alias in node.names:
                yield from _by_name([*parts, alias.name], places, is_relative=node.level > 0)


def _by_name(parts: list[str], places: tuple[Path, ...], is_relative: bool = False) -> Iterator[Path]:
    """The sources that importing a dotted name would run, from the first of the places that has its beginning."""
    if not is_relative and parts[0] in RESERVED:
        return
    for place in places:
        begins = place / parts[0]
        if begins.is_dir() or begins.with_suffix(".py").is_file():
            for count in range(1, len(parts) + 1):
                base = place.joinpath(*parts[:count])
                for file in (base / "__init__.py", base.parent / f"{base.name}.py"):
                    if file.is_file():
                        yield file
                        break
            return
