"""Whether the hosts of a cluster are as fast as others of their kind: each is timed once, before its first run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.execution.executors.nodes import Node
from bench.execution.host_check import HostCheck
from bench.execution.measured import Lost
from bench.runs.slow_hosts import Reference


class HostSpeeds:
    """Holds nodes back until their hosts have been timed and judged. Nodes on one machine share a timing.

    Hosts that are timed together are compared with each other, and with those that the `check` knows.
    """

    def __init__(self, check: HostCheck, begin: Callable[[Node], Any], find: Callable[[Any], Reference | None]) -> None:
        """`begin` starts the timing of a node's host; `find` gives its result, None if it has not ended.

        A result without times means that the kernels have not ended. `find` raises Lost if the timing has to begin
        again.
        """
        self.check, self._begin, self._find = check, begin, find
        # Nodes that have not been judged, by their id.
        self.held: dict[str, Node] = {}
        # By machine: timings that have begun, and their results.
        self.begun: dict[str, Any] = {}
        self._found: dict[str, Reference] = {}

    def hold(self, nodes: Iterable[Node]) -> None:
        """Take in nodes that have no run yet."""
        self.held |= {node.id: node for node in nodes}
        self._time()

    def judged(self) -> list[tuple[Node, str | None]]:
        """The nodes that can have runs from now on, each with why its host is off, if it is."""
        self._time()
        for boot, timing in list(self.begun.items()):
            self._hear(boot, timing)
        ready = [node for node in self.held.values() if node.facts.boot in self._found]
        for node in ready:
            self.check.known.add(node.facts.machine | {"reference": self._found[node.facts.boot]})
        self.held = {key: node for key, node in self.held.items() if node not in ready}
        return [(node, self.check.judge(node.facts.machine, self._found[node.facts.boot] or None)) for node in ready]

    def forget(self, alive: Mapping[str, Any]) -> None:
        """Hold no nodes that do not exist any more."""
        self.held = {key: node for key, node in self.held.items() if key in alive}

    def _time(self) -> None:
        for node in self.held.values():
            if node.facts.boot not in self._found and node.facts.boot not in self.begun:
                self.begun[node.facts.boot] = self._begin(node)

    def _hear(self, boot: str, timing: Any) -> None:
        try:
            found = self._find(timing)
        except Lost:
            del self.begun[boot]
            return
        if found is not None:
            del self.begun[boot]
            self._found[boot] = found
