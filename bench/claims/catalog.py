"""The claims that come with the project, by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.claims.cells import OWN, Claim
from bench.documents.document import YAML_SUFFIXES, Document, is_file
from bench.errors import UsageError
from bench.text.nearest import unknown


def ids() -> list[str]:
    """S01 to S42."""
    return sorted(path.stem for path in OWN.glob("S*.yaml"))


def load(name: str) -> Claim:
    """The claim of that id, `S07`, `s7` or `7`, or in that .yaml file.

    Raises `UsageError` if there is none, and for a mistake in it, with file, line and key.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        if not is_file(path):
            raise UsageError(f"there is no claim file {name[:200]}")
    else:
        digits = name.upper().removeprefix("S")
        known = f"S{int(digits):02d}" if digits.isascii() and digits.isdigit() and len(digits) <= 3 else name
        if known not in ids():
            raise UsageError(f"{unknown('claim', known, ids(), 'bench claims --list')}; or give a .yaml file")
        path = OWN / f"{known}.yaml"
    return Claim(Document.read(path, OWN / "S06.yaml"))


def chosen(names: Sequence[str]) -> list[Claim]:
    """These claims, each once, or all if none is named.

    Raises what `load` raises, and `UsageError` for two files of one name, whose answers could not be told apart.
    """
    found: dict[str, Claim] = {}
    for claim in map(load, names or ids()):
        known = found.setdefault(claim.id, claim)
        if known.path.resolve() != claim.path.resolve():
            raise UsageError(f"{known.path} and {claim.path} are both called {claim.id}; rename one of the files")
    return list(found.values())
