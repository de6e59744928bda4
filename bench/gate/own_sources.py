"""Compares two revisions of this harness; each is measured by its own agent with its own code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, MissingError, UsageError
from bench.gate.agent_process import CHANGED, AgentFailed, AgentProcess
from bench.gate.checkout import checked_out, for_both, resolve, top_of
from bench.gate.paired_cell import open_paired_cells
from bench.gate.paired_comparison import Arm
from bench.gate.report import Side
from bench.gate.subject import SAME_SOURCES, Sides, base_side, name_of
from bench.host.provenance import sources_sha256, versions


@dataclass
class OwnSources:
    """The sources in `root` compared with the revision `base_name`; logs go to `folder`."""

    root: Path
    base_name: str
    matrices: Sequence[Path]
    machine: dict[str, Any]
    device: str
    found: int
    folder: Path

    def __post_init__(self) -> None:
        """Raises UsageError for an unknown revision, or sources that are not a checkout."""
        self.top = top_of(self.root)
        self._commit = resolve(self.top, self.base_name)
        self.base = base_side(self.base_name, self._commit)
        self.head = Side("these sources")
        self._sources: list[str] = []

    def open(self, place: int, open_sides: ExitStack) -> Sides:
        checkout = open_sides.enter_context(checked_out(self.top, self._commit, place))
        head = open_agent(checkout.head, self.folder / "logs" / "head.log", open_sides)
        try:
            base = open_agent(checkout.base, self.folder / "logs" / "base.log", open_sides)
        except AgentFailed as error:
            raise MissingError(f"the base {self.base_name} cannot be run here: {error}") from None
        of_head = describe(head, "these sources", BenchError)
        of_base = describe(base, f"the base {self.base_name}", MissingError)
        pairs = [for_both(path, self.top, checkout.base, checkout.head) for path in self.matrices]
        paired_cells = open_paired_cells(pairs, base, head, self.device, self.found)
        self._sources = [of_base["sources"], of_head["sources"]]
        self.base = Side(self.base.name, of_base["code"])
        self.head = Side(name_of(of_head["code"]), of_head["code"])
        return Sides(
            Arm("base", base, of_base["code"], self.machine),
            Arm("head", head, of_head["code"], self.machine),
            paired_cells,
            {"sources": self._sources, "packages": versions()},
            self._notes(),
        )

    def check_unchanged(self) -> None:
        if self._sources:
            check_unchanged(self.root, {"sources": self._sources[1]})

    def _notes(self) -> list[str]:
        if self._sources[0] == self._sources[1]:
            return [SAME_SOURCES]
        if self.head.code.get("dirty"):
            return ["head is the working tree, with changes that are not committed"]
        return []


def open_agent(root: Path, log: Path, open_agents: ExitStack) -> AgentProcess:
    """An agent for the sources in `root`, closed with `open_agents`. Raises AgentFailed for an unknown protocol."""
    log.unlink(missing_ok=True)
    agent = AgentProcess(root, log)
    open_agents.callback(agent.close)
    return agent


def describe(agent: AgentProcess, whose: str, error_kind: type[BenchError]) -> dict[str, Any]:
    """The identities of a tree's code and machine. Raises an error of the given kind if it cannot run."""
    try:
        agent.await_ready()
        described: dict[str, Any] = agent.ask("describe")
    except AgentFailed as error:
        raise error_kind(f"{whose} cannot be run here: {error}") from None
    return described


def check_unchanged(root: Path, described: dict[str, Any]) -> None:
    """Raises UsageError if the sources in `root` have changed since they were described."""
    if described["sources"] != sources_sha256(root):
        raise UsageError(CHANGED)
