"""Runs as tasks of a Ray cluster: a running one, or one that is started on this machine.

A task asks for its GPUs or cores on a node that is chosen here, so that runs never share a device. Ray repeats nothing:
a run whose node is lost is recorded as such by the sweep, which then begins it again.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Self

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import MissingError, UsageError
from bench.execution.device_pool import find_gpus, usable_cores
from bench.execution.executors.executor import Assignment, OnEvent, Place
from bench.execution.executors.nodes import Node, neighbours_of, share_out
from bench.execution.executors.on_host import Driver, HostReport
from bench.execution.executors.ray_node import Mailbox, look_at_node, run_on_node
from bench.execution.executors.several import worst
from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Event, Lost, Measured, NotBegun
from bench.spec.sweep_plan import PlannedRun

# How long nodes have, at the beginning, to say what they are; and a cluster without nodes, to get one.
LOOK_S = 120.0
NODELESS_S = 60.0
# How often is asked which nodes there are.
NODES_EVERY_S = 2.0
# The time from asking runs to end until their tasks are killed: longer than a host needs to kill a worker.
GRACE_S = 15.0
# Runs pass no large objects.
OBJECT_STORE_BYTES = 128 << 20
KNOCK_S = 10.0


class Ray:
    """The executor of a Ray cluster; leave it as a context manager does."""

    def __init__(
        self, address: str | None, device: str, jobs: int | None, driver: Driver, say: Callable[[str], None]
    ) -> None:
        """Connects to the cluster at `address` (None: starts one here), and looks at its nodes.

        `jobs` are the runs at once on each node, None as many as it has GPUs. `say` gets notes for the user. Raises
        MissingError if there is no such cluster or no node can carry out a run.
        """
        self._device, self._jobs, self._driver, self._say = device, jobs, driver, say
        self._owns = not ray.is_initialized()
        if self._owns:
            _connect(address, device)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._look = ray.remote(max_retries=0, num_cpus=0)(look_at_node)
        self._run = ray.remote(max_retries=0)(run_on_node)
        self._mailbox = ray.remote(num_cpus=0, max_restarts=0)(Mailbox).options(scheduling_strategy=here).remote()
        self.nodes: dict[str, Node] = {}
        self._unfit: dict[str, str] = {}
        # Nodes that are asked what they are; with the node, if it is known and has lost a run.
        self._asked: dict[str, tuple[Any, Node | None]] = {}
        # The host of each set of runs that stay together.
        self._host_of: dict[Hashable, str | None] = {}
        self._next_look_s = 0.0
        self._nodeless_s: float | None = None
        self._inboxes: dict[str, list[Event]] = defaultdict(list)
        self._collected: Any = None
        self._ready: set[Any] = set()
        self._interrupts = Interrupts()
        self._find_nodes()
        ray.wait([ref for ref, _ in self._asked.values()], num_returns=len(self._asked), timeout=LOOK_S)
        self._admit()
        if not self.nodes:
            why = "; ".join(dict.fromkeys(self._unfit.values())) or "none of them has a free CPU"
            raise MissingError(f"no node of the Ray cluster can carry out a run: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._owns:
            ray.shutdown()

    @property
    def slots(self) -> int:
        return max(1, sum(node.slots for node in self.nodes.values()))

    @property
    def machines(self) -> list[dict[str, Any]]:
        """The fingerprints of the nodes."""
        return [node.facts.machine for node in self.nodes.values()]

    @property
    def devices(self) -> int:
        """The most devices that one run can have on a node."""
        return max(node.devices(self._on_gpus) for node in self.nodes.values())

    @property
    def most_neighbours(self) -> int:
        """How many other runs may be on the same machine at once."""
        return max(neighbours_of(node, self.nodes.values()) for node in self.nodes.values())

    @property
    def _on_gpus(self) -> bool:
        return self._device == "cuda"

    def take(self, entry: PlannedRun) -> Place | None:
        """Raises MissingError if there has been no node for a while."""
        self._find_nodes()
        self._admit()
        self._check_there_are_nodes()
        devices = entry.devices // entry.nodes
        with_room = [node for node in self._nodes_for(entry) if node.has_room(devices, self._on_gpus)]
        if len(with_room) < entry.nodes:
            return None
        chosen = sorted(with_room, key=lambda node: -len(node.free))[: entry.nodes]
        if (together := self._driver.choice.set_of(entry)) is not None:
            self._host_of.setdefault(together, chosen[0].facts.machine["host"])
        gpus = devices if self._on_gpus else 0
        everywhere = self.nodes.values()
        hosts = tuple(
            (node, replace(node.take(gpus), neighbours=neighbours_of(node, everywhere)), gpus) for node in chosen
        )
        return Place(hosts[0][1], hosts)

    def _nodes_for(self, entry: PlannedRun) -> list[Node]:
        """The nodes on which the run may be. A set that stays on one host moves if that host is lost."""
        together = self._driver.choice.set_of(entry)
        host = self._host_of.get(together)
        nodes = list(self.nodes.values())
        if together is None or host is None or entry.nodes > 1:
            return nodes
        there = [node for node in nodes if node.facts.machine["host"] == host]
        if not there and nodes and not self._asked:
            del self._host_of[together]
            self._say(f"Note: host {host} is lost, and the rest of the runs that were to stay on it goes on elsewhere")
            return nodes
        return there

    def give_back(self, place: Place) -> None:
        for node, share, gpus in place.hosts:
            node.give_back(share, gpus)

    def start(self, task: Assignment, on_event: OnEvent, interrupts: Interrupts) -> RunFollower:
        self._interrupts = interrupts
        count = len(task.place.hosts)
        refs = []
        for index, (node, share, gpus) in enumerate(task.place.hosts):
            at = self._run.options(
                num_cpus=node.cpus_of_a_run,
                num_gpus=gpus,
                name=f"bench {task.attempt.run_id}",
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            refs.append(at.remote(task.for_host(share), self._driver, self._mailbox, index, count))
        return RayFollower(self, refs, task, on_event, interrupts)

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:
        """Raises MissingError if the cluster is gone."""
        refs = [ref for one in followers if isinstance(one, RayFollower) and not one.over for ref in one.pending]
        if not refs:
            time.sleep(timeout_s)
            return
        try:
            # Made anew each time, because Ray keeps the result of whatever is referred to.
            some = ray.wait(refs, num_returns=1, timeout=timeout_s)[0]
            self._ready = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if some else set()
            self._collect()
        except (RayError, ConnectionError) as error:
            raise MissingError(
                f"the Ray cluster cannot be reached any more ({_last_line(error)}); the same command goes on"
            ) from None

    def is_ready(self, ref: Any) -> bool:
        """Whether a task has ended, or was lost."""
        return ref in self._ready

    def messages(self, run_id: str) -> list[Event]:
        """What a run has said since the last call."""
        return self._inboxes.pop(run_id, [])

    def suspect(self, node: Node) -> bool:
        """Give a node that has lost a run nothing more before it has answered; returns whether it still exists."""
        if self.nodes.pop(node.id, None) is not None:
            self._asked[node.id] = self._ask(node.id), node
        return any(one["NodeID"] == node.id and one["Alive"] for one in ray.nodes())

    def _collect(self) -> None:
        if self._collected is not None and ray.wait([self._collected], timeout=0)[0]:
            arrived, self._collected = self._collected, None
            try:
                for run_id, event in ray.get(arrived):
                    self._inboxes[run_id].append(event)
            except RayError:  # only the display needs it
                return
        if self._collected is None:
            self._collected = self._mailbox.collect.remote(self._interrupts.count)

    def _find_nodes(self) -> None:
        """Notice which nodes have come and gone."""
        if time.monotonic() < self._next_look_s:
            return
        self._next_look_s = time.monotonic() + NODES_EVERY_S
        alive = {one["NodeID"]: one["Resources"] for one in ray.nodes() if one["Alive"]}
        for gone in self.nodes.keys() - alive.keys():
            del self.nodes[gone]
        for new in alive.keys() - self.nodes.keys() - self._unfit.keys() - self._asked.keys():
            if alive[new].get("CPU", 0) >= 1:
                self._asked[new] = self._ask(new), None

    def _ask(self, node_id: str) -> Any:
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        return self._look.options(scheduling_strategy=there).remote(self._driver)

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
                self._refuse(node_id, f"bench cannot be imported there ({_last_line(error)})")
            except RayError:  # it is gone again
                continue
            else:
                if facts.unfit is not None:
                    self._refuse(node_id, facts.unfit)
                elif known is not None:
                    self.nodes[node_id] = known
                else:
                    self._add(node_id, facts)

    def _add(self, node_id: str, facts: Any) -> None:
        resources: dict[str, float] = next((one["Resources"] for one in ray.nodes() if one["NodeID"] == node_id), {})
        node = Node(node_id, int(resources.get("CPU", 1)), int(resources.get("GPU", 0)), facts)
        if self._on_gpus and not node.gpus:
            self._refuse(node_id, "it has no GPU")
            return
        try:
            share_out(node, self._jobs, self._on_gpus, self.nodes.values())
        except UsageError as error:
            self._refuse(node_id, str(error))
        else:
            self.nodes[node_id] = node

    def _refuse(self, node_id: str, why: str) -> None:
        self._unfit[node_id] = why
        self._say(f"Note: node {node_id[:8]} gets no run: {why}")

    def _check_there_are_nodes(self) -> None:
        if self.nodes or self._asked:
            self._nodeless_s = None
        elif self._nodeless_s is None:
            self._nodeless_s = time.monotonic()
        elif time.monotonic() - self._nodeless_s > NODELESS_S:
            raise MissingError(
                f"the Ray cluster has had no node for runs for {NODELESS_S:.0f} s; "
                "add one, and the same command goes on"
            )


class RayFollower:
    """Follows one run on its node, or on its several nodes, of which the first one reports."""

    sources: tuple[Any, ...] = ()

    def __init__(
        self, cluster: Ray, refs: list[Any], task: Assignment, on_event: OnEvent, interrupts: Interrupts
    ) -> None:
        self.over = False
        self.pending = list(refs)
        self._cluster, self._refs, self._task = cluster, refs, task
        self._on_event, self._interrupts = on_event, interrupts
        self._outcomes: dict[int, HostReport] = {}
        self._ended: Measured | Exception | None = None
        self._begun = False
        self._signals_told = interrupts.count
        self._kill_s: float | None = None
        on_event({"kind": "phase", "name": "waiting for its node", "spans": []})

    def advance(self) -> None:
        """Pass on what has arrived, and notice what has ended."""
        if self.over:
            return
        for event in self._cluster.messages(self._task.attempt.run_id):
            self._begun = True
            self._on_event(event)
        self._on_event({"kind": "tick"})
        self._hear_signals()
        # The end of one host may be that of the run.
        while (ref := next(filter(self._cluster.is_ready, self.pending), None)) is not None:
            self._take(ref)
        if not self.pending:
            self.over = True

    def result(self) -> Measured:
        """What was measured. Raises Lost, Refused or NotBegun."""
        if isinstance(self._ended, Exception):
            raise self._ended
        if self._ended is not None:
            return self._ended
        measured = worst(self._outcomes, self._task.attempt.log)
        measured.facts["node"] = self._task.place.hosts[0][0].facts.machine
        return measured

    def close(self) -> None:
        """End a run that is not over."""
        if not self.over:
            self._cancel(force=True)
            self.over = True

    def _hear_signals(self) -> None:
        interrupts = self._interrupts
        if interrupts.count > self._signals_told:
            self._signals_told = interrupts.count
            self._on_event({"kind": "stopping" if interrupts.stopping else "finishing"})
            if not self._begun:
                self._cancel(force=False)
            elif interrupts.count > interrupts.patience + 1:
                self._kill_s = time.monotonic()
            elif interrupts.stopping:
                self._kill_s = time.monotonic() + GRACE_S
        if self._kill_s is not None and time.monotonic() >= self._kill_s:
            self._kill_s = None
            self._cancel(force=True)

    def _cancel(self, force: bool) -> None:
        for ref in self.pending:
            ray.cancel(ref, force=force)

    def _take(self, ref: Any) -> None:
        self.pending.remove(ref)
        index = self._refs.index(ref)
        try:
            self._outcomes[index] = ray.get(ref)
            if index == 0 and self._outcomes[0].measured.status == "ok":
                self.pending.clear()  # the other hosts have nothing to add
            return
        except RayTaskError as error:
            self._ended = Measured("crashed", f"its host could not carry it out: {_last_line(error)}")
        except OutOfMemoryError:
            self._ended = Measured("oom", "Ray ended it, because the memory of its node was full")
        except RayError as error:
            self._ended = self._loss(index, error)
        self._cancel(force=True)
        self.pending.clear()

    def _loss(self, index: int, error: RayError) -> Measured | Exception:
        if self._interrupts.count and not self._begun:
            return NotBegun("stopped before it began")
        if self._interrupts.stopping:
            return Measured("interrupted", "stopped by the user")
        node = self._task.place.hosts[index][0]
        exists = self._cluster.suspect(node)
        what = "the process that ran it on" if exists else "its node, "
        return Lost(f"{what} {node.id[:8]} was lost ({type(error).__name__})".replace(",  ", ", "))


def _connect(address: str | None, device: str) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    if address is not None:
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (OSError, RayError, ValueError, RuntimeError) as error:
            raise MissingError(
                f"--address {address}: no Ray cluster can be reached there ({_last_line(error)}); `ray start --head` "
                "on its first machine prints the address, and without --address a cluster is started here"
            ) from None
        return
    gpus = len(find_gpus().usable) if device == "cuda" else 0
    ray.init(
        address="local",
        num_cpus=max(len(usable_cores()), 1),
        num_gpus=gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        **quiet,
    )


def _knock(address: str) -> None:
    """Raises OSError or ValueError at once where nobody listens; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), KNOCK_S).close()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
