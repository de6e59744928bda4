"""Names of objects that are not bench's own: `path/to/file.py:Name` or `package.module:Name`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError

_FILE = re.compile(r"(?P<place>[^:]+\.py):(?P<name>[^\W\d]\w*)")
_MODULE = re.compile(r"(?P<place>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


@dataclass(frozen=True)
class Reference:
    """`place` is a file or a dotted module, `name` an object in it."""

    place: str
    name: str
    is_file: bool


def parse(text: str) -> Reference | None:
    """The reference; None unless the text is a file or a module with a name after a colon."""
    for form in (_FILE, _MODULE):
        if found := form.fullmatch(text):
            return Reference(found["place"], found["name"], form is _FILE)
    return None


def object_name(text: str) -> str:
    """The object that a reference names; any other name as it is."""
    reference = parse(text)
    return text if reference is None else reference.name


def is_path(text: str) -> bool:
    """Whether a data set's name is a path: it contains a slash or ends in .npz."""
    return parse(text) is None and (os.sep in text or text.endswith(".npz") or text in (".", ".."))


def label(name: str) -> str:
    """The name for messages and tables, without the folders of its file or data."""
    reference = parse(name)
    if reference is not None and reference.is_file:
        return f"{Path(reference.place).name}:{reference.name}"
    return Path(name).name if is_path(name) else name


def repository_of(folder: Path) -> Path | None:
    """The top of the git repository around a folder, found without git."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def anchored(value: Any, folder: Path, is_data: bool = False, bound: Path | None = None) -> Any:
    """The value with file names relative to `folder` made absolute.

    So do modules that are found there, or at the top of its repository. Mappings and lists are gone through. With
    `is_data` it is of a data set, whose name may be a path. Raises `UsageError` for a source outside `bound`, a folder.
    """
    if isinstance(value, dict):
        return {key: anchored(item, folder, is_data and key == "name", bound) for key, item in value.items()}
    if isinstance(value, list):
        return [anchored(item, folder, bound=bound) for item in value]
    if not isinstance(value, str):
        return value
    if (reference := parse(value)) is not None:
        return _anchored(reference, value, folder, bound)
    return str(_absolute(value, folder)) if is_data and is_path(value) else value


def anchored_values(
    values: Mapping[str, Any], folder: Path, prose: Collection[str] = (), bound: Path | None = None
) -> dict[str, Any]:
    """A recipe's values by their keys, which may be dotted, with names anchored; those of `prose` hold texts."""
    return {
        key: value if key in prose else anchored(value, folder, key in ("data", "data.name"), bound)
        for key, value in values.items()
    }


def anchored_document(
    values: Mapping[str, Any], folder: Path, where: Callable[[str], str], prose: Collection[str] = ()
) -> dict[str, Any]:
    """The same of a file in `folder`, which names sources of its own repository alone: every checkout has those.

    `where` tells the place of a key, for the message about another source.
    """
    bound = repository_of(folder.resolve())
    anchored_ones: dict[str, Any] = {}
    for key, value in values.items():
        try:
            anchored_ones |= anchored_values({key: value}, folder, prose, bound)
        except UsageError as error:
            raise UsageError(f"{where(key)}: {key}: {error}") from None
    return anchored_ones


def _anchored(reference: Reference, text: str, folder: Path, bound: Path | None) -> str:
    if reference.is_file:
        file = _absolute(reference.place, folder)
        if bound is not None and not file.resolve().is_relative_to(bound):
            raise UsageError(
                f"{reference.place} is outside the repository {bound}, so another checkout of it would lack the file; "
                "move it into the repository, or install it as a package and name it package.module:Name"
            )
        return f"{file}:{reference.name}"
    for root in dict.fromkeys((folder, repository_of(folder.resolve()) or folder)):
        base = root.joinpath(*reference.place.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return f"{file.absolute()}:{reference.name}"
    return text


def _absolute(path: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder.absolute() / Path(path).expanduser()))
