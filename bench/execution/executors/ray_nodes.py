"""The nodes of a Ray cluster: which of them can have runs, as they come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import MissingError, UsageError
from bench.execution.executors.host_speeds import HostSpeeds
from bench.execution.executors.nodes import NODELESS_S, Lack, Node, share_out
from bench.execution.executors.on_host import Driver, HostFacts, describe, time_host
from bench.execution.host_check import HostCheck
from bench.execution.measured import Lost
from bench.runs.slow_hosts import Reference
from bench.spec.sweep_plan import PlannedRun

# How long nodes have, at the beginning, to say what they are, and then to time their reference kernels.
LOOK_S = 120.0
# How often is asked which nodes there are.
NODES_EVERY_S = 2.0


class RayNodes:
    """Asks each node what it is, and divides it into shares. A node that bench cannot use gets no run, and a note says
    why; one that has lost a run gets none before it has answered again."""

    def __init__(self, device: str, jobs: int | None, driver: Driver, say: Callable[[str], None]) -> None:
        """Raises MissingError if no node can carry out a run."""
        self.on_gpus = device == "cuda"
        self._device, self._jobs, self._driver, self._say = device, jobs, driver, say
        self._look = ray.remote(max_retries=0, num_cpus=0)(describe)
        self._time = ray.remote(max_retries=0)(time_host)
        # By their ids: those that can have runs, and why others cannot.
        self.ready: dict[str, Node] = {}
        self._unfit: dict[str, str] = {}
        # Nodes that are asked what they are; with the node, if it is known and has lost a run.
        self._asked: dict[str, tuple[Any, Node | None]] = {}
        # Which nodes get no run before their speed is known; None if hosts are not checked.
        self._speeds: HostSpeeds | None = None
        self._next_look_s = 0.0
        # Since when there have been no nodes, and not those that the next run needs.
        self._nodeless_s: float | None = None
        self._lack = Lack()
        self._find()
        ray.wait([ref for ref, _ in self._asked.values()], num_returns=len(self._asked), timeout=LOOK_S)
        self._admit()
        self._check_there_is_one()

    @property
    def is_changing(self) -> bool:
        """Whether some nodes are asked what they are, or timed."""
        return bool(self._asked or self._held)

    def check_hosts(self, check: HostCheck) -> None:
        """Give no host a run from now on before its reference kernels are timed and judged; waits for those of now.

        Raises MissingError if none may have runs.
        """
        self._speeds = HostSpeeds(check, self._begin_timing, self._timing)
        self._speeds.hold(self.ready.values())
        self.ready = {}
        begun = list(self._speeds.begun.values())
        if begun:
            ray.wait(begun, num_returns=len(begun), timeout=LOOK_S)
        self._admit_judged()
        if not self.is_changing:
            self._check_there_is_one()

    def update(self) -> None:
        """Notice which nodes have come, gone and answered. Raises MissingError if there has been none for a while."""
        with reached():
            self._find()
            self._admit()
            self._admit_judged()
        if self.ready or self.is_changing:
            self._nodeless_s = None
        elif self._nodeless_s is None:
            self._nodeless_s = time.monotonic()
        elif time.monotonic() - self._nodeless_s > NODELESS_S:
            without = "".join(f"; node {node_id[:8]} gets none: {why}" for node_id, why in self._unfit.items())
            raise MissingError(
                f"the Ray cluster has had no node for runs for {NODELESS_S:.0f} s; "
                f"add one, and the same command goes on{without}"
            )

    def check_can_have(self, entry: PlannedRun, nodes: Sequence[Node]) -> None:
        """Raises Refused if these nodes have lacked for a while what the run needs, however free they are."""
        if self.is_changing or not nodes:
            self._lack.is_over()
        else:
            self._lack.check(entry, nodes, self.on_gpus)

    def suspect(self, node: Node) -> bool:
        """Give a node that has lost a run nothing more before it has answered; returns whether it still exists."""
        if self.ready.pop(node.id, None) is not None:
            self._asked[node.id] = self._ask(node.id), node
        try:
            return any(one["NodeID"] == node.id and one["Alive"] for one in ray.nodes())
        except (RayError, ConnectionError):  # the whole cluster is gone
            return False

    def _check_there_is_one(self) -> None:
        if not self.ready:
            why = "; ".join(dict.fromkeys(self._unfit.values())) or "none of them has a free CPU"
            raise MissingError(f"no node of the Ray cluster can carry out a run: {why}")

    @property
    def _held(self) -> dict[str, Node]:
        """The nodes whose speed is not known yet."""
        return {} if self._speeds is None else self._speeds.held

    def _find(self) -> None:
        """Notice which nodes have come and gone."""
        if time.monotonic() < self._next_look_s:
            return
        self._next_look_s = time.monotonic() + NODES_EVERY_S
        alive = {one["NodeID"]: one["Resources"] for one in ray.nodes() if one["Alive"]}
        for gone in self.ready.keys() - alive.keys():
            del self.ready[gone]
        if self._speeds is not None:
            self._speeds.forget(alive)
        known = self.ready.keys() | self._held.keys() | self._unfit.keys() | self._asked.keys()
        for new in alive.keys() - known:
            if alive[new].get("CPU", 0) >= 1:
                self._asked[new] = self._ask(new), None

    def _ask(self, node_id: str) -> Any:
        return self._look.options(scheduling_strategy=on_node(node_id)).remote(self._driver)

    def _admit(self) -> None:
        """Take in the nodes that have said what they are."""
        refs = {ref: node_id for node_id, (ref, _) in self._asked.items()}
        if not refs:
            return
        for ref in ray.wait(list(refs), num_returns=len(refs), timeout=0)[0]:
            node_id = refs[ref]
            _, known = self._asked.pop(node_id)
            try:
                facts = ray.get(ref)
            except RayTaskError as error:
                self._refuse(node_id, f"bench cannot be imported there ({last_line(error)})")
            except RayError:  # it is gone again
                continue
            else:
                if facts.unfit is not None:
                    self._refuse(node_id, facts.unfit)
                elif known is not None:
                    self.ready[node_id] = known
                else:
                    self._add(node_id, facts)

    def _add(self, node_id: str, facts: HostFacts) -> None:
        resources: dict[str, float] = next((one["Resources"] for one in ray.nodes() if one["NodeID"] == node_id), {})
        node = Node(node_id, int(resources.get("CPU", 1)), int(resources.get("GPU", 0)), facts)
        if self.on_gpus and not node.gpus:
            self._refuse(node_id, "it has no GPU")
            return
        try:
            share_out(node, self._jobs, self.on_gpus, [*self.ready.values(), *self._held.values()])
        except UsageError as error:
            self._refuse(node_id, str(error))
            return
        if self._speeds is None:
            self.ready[node_id] = node
        else:
            self._speeds.hold([node])

    def _begin_timing(self, node: Node) -> Any:
        gpus = 1 if self.on_gpus else 0
        there = self._time.options(num_cpus=node.cpus_of_a_run, num_gpus=gpus, scheduling_strategy=on_node(node.id))
        return there.remote(self._driver, self._device)

    def _timing(self, ref: Any) -> Reference | None:
        """Raises Lost if the node was lost, or its process."""
        if not ray.wait([ref], timeout=0)[0]:
            return None
        try:
            found: Reference = ray.get(ref)
        except RayTaskError:
            return {}
        except RayError as error:
            raise Lost(last_line(error)) from None
        return found

    def _admit_judged(self) -> None:
        """Take in the nodes whose speed is known now."""
        if self._speeds is None:
            return
        for node, why in self._speeds.judged():
            host = node.facts.machine["host"]
            if why and self._speeds.check.refused:
                self._refuse(node.id, f"its host, {host}, is off: {why}")
                continue
            self.ready[node.id] = node
            if why:
                self._say(f"Warning: host {host} is off, and its runs are marked: {why}")

    def _refuse(self, node_id: str, why: str) -> None:
        self._unfit[node_id] = why
        self._say(f"Note: node {node_id[:8]} gets no run: {why}")


def on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    """On this node or not at all."""
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


@contextmanager
def reached() -> Iterator[None]:
    """Raises MissingError in the place of what Ray raises if its cluster is gone."""
    try:
        yield
    except (RayError, ConnectionError) as error:
        raise MissingError(
            f"the Ray cluster cannot be reached any more ({last_line(error)}); the same command goes on"
        ) from None


def last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
