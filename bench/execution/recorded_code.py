"""The code of one command's runs: as it was when the command began, and changes seen since."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from bench.host.bytecode import Bytecode
from bench.host.provenance import NOT_PYTHONS_OWN, Sources
from bench.host.script_sources import ScriptSources


class RecordedCode(Protocol):
    """What a record says about the code."""

    @property
    def identity(self) -> dict[str, Any]:
        """`{commit, dirty, sources_sha256}` when the command began."""

    def after(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The identity after a run that reported these facts, with any changes seen."""


class HarnessCode:
    """The running tree, for recipes. It is read before any worker imports it, so that later changes are noticed."""

    def __init__(self) -> None:
        self._sources = Sources.now()
        self._bytecode = Bytecode(self._sources.root)

    @cached_property
    def identity(self) -> dict[str, Any]:
        return self._sources.identity()

    def after(self, facts: dict[str, Any]) -> dict[str, Any]:
        changed = Sources.now(self._sources.root).differing_from(self._sources)
        if facts.get("imported_sources_sha256", self._sources.sha256) != self._sources.sha256:
            changed = changed or ["what the worker imported"]
        loaded = facts.get("loaded", {})
        wrong = self._bytecode.not_of_its_source()
        seen = {"changed_during_run": changed, "bytecode_not_of_source": wrong, "loaded": loaded}
        if (wrong or any(name.endswith(NOT_PYTHONS_OWN) for name in loaded)) and self.identity["dirty"] is False:
            seen["dirty"] = True
        return self.identity | seen


class ScriptCode:
    """The user's repository, or the sources around the script."""

    def __init__(self, folder: Path, argv: Sequence[str]) -> None:
        self._sources = ScriptSources.now(folder, argv)

    @cached_property
    def identity(self) -> dict[str, Any]:
        return self._sources.identity()

    def after(self, facts: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - a script tells none of its code
        return self.identity | {"changed_during_run": self._sources.changed()}
