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
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import MissingError
from bench.execution.device_pool import find_gpus, usable_cores
from bench.execution.executors.executor import Assignment, OnEvent, Place
from bench.execution.executors.nodes import Node, neighbours_of
from bench.execution.executors.on_host import Driver
from bench.execution.executors.ray_follower import RayFollower
from bench.execution.executors.ray_node import Mailbox, run_on_node
from bench.execution.executors.ray_nodes import RayNodes, last_line, on_node, reached
from bench.execution.following import RunFollower
from bench.execution.host_check import HostCheck
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Event
from bench.spec.sweep_plan import PlannedRun

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
        self._driver, self._say = driver, say
        self._owns = not ray.is_initialized()
        if self._owns:
            _connect(address, device)
        try:
            self._begin()
            self.nodes = RayNodes(device, jobs, driver, say)
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._run = ray.remote(max_retries=0)(run_on_node)
        self._mailbox = ray.remote(num_cpus=0, max_restarts=0)(Mailbox).options(scheduling_strategy=here).remote()
        # The host of each set of runs that stay together.
        self._host_of: dict[Hashable, str | None] = {}
        self._inboxes: dict[str, list[Event]] = defaultdict(list)
        self._collected: Any = None
        self._ready: set[Any] = set()
        self._interrupts = Interrupts()

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
        return max(1, sum(node.slots for node in self._present))

    @property
    def machines(self) -> list[dict[str, Any]]:
        """The fingerprints of the nodes."""
        return [node.facts.machine for node in self._present]

    @property
    def devices(self) -> int:
        """The most devices that one run can have on a node."""
        return max(node.devices(self.nodes.on_gpus) for node in self._present)

    @property
    def most_neighbours(self) -> int:
        """How many other runs may be on the same machine at once."""
        return max(neighbours_of(node, self._present) for node in self._present)

    @property
    def _present(self) -> list[Node]:
        """The nodes that can have runs now."""
        return list(self.nodes.ready.values())

    def check_hosts(self, check: HostCheck) -> None:
        """Let each host time its reference kernels before its first run, and judge them. Raises MissingError."""
        with reached():
            self.nodes.check_hosts(check)

    def take(self, entry: PlannedRun) -> Place | None:
        """Raises MissingError if there has been no node for a while, Refused if no node has what the run needs."""
        self.nodes.update()
        on_gpus, devices = self.nodes.on_gpus, entry.devices // entry.nodes
        possible = self._nodes_for(entry)
        self.nodes.check_can_have(entry, possible)
        with_room = [node for node in possible if node.has_room(devices, on_gpus)]
        if len(with_room) < entry.nodes:
            return None
        chosen = sorted(with_room, key=lambda node: -len(node.free))[: entry.nodes]
        if (together := self._driver.choice.set_of(entry)) is not None:
            self._host_of.setdefault(together, chosen[0].facts.machine["host"])
        gpus = devices if on_gpus else 0
        everywhere = self._present
        hosts = tuple(
            (node, replace(node.take(gpus), neighbours=neighbours_of(node, everywhere)), gpus) for node in chosen
        )
        return Place(hosts[0][1], hosts)

    def _nodes_for(self, entry: PlannedRun) -> list[Node]:
        """The nodes on which the run may be. A set that stays on one host moves if that host is lost."""
        together = self._driver.choice.set_of(entry)
        host, nodes = self._host_of.get(together), self._present
        if together is None or host is None or entry.nodes > 1:
            return nodes
        there = [node for node in nodes if node.facts.machine["host"] == host]
        if not there and nodes and not self.nodes.is_changing:
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
                scheduling_strategy=on_node(node.id),
            )
            refs.append(at.remote(task.for_host(share), self._driver, self._mailbox, index, count))
        return RayFollower(self, self.nodes, refs, task, on_event, interrupts)

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:
        """Raises MissingError if the cluster is gone."""
        refs = [ref for one in followers if isinstance(one, RayFollower) and not one.over for ref in one.pending]
        if not refs:
            time.sleep(timeout_s)
            return
        with reached():
            # Made anew each time, because Ray keeps the result of whatever is referred to.
            some = ray.wait(refs, num_returns=1, timeout=timeout_s)[0]
            self._ready = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if some else set()
            self._collect()

    def is_ready(self, ref: Any) -> bool:
        """Whether a task has ended, or was lost."""
        return ref in self._ready

    def messages(self, run_id: str) -> list[Event]:
        """What a run has said since the last call."""
        return self._inboxes.pop(run_id, [])

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


def _connect(address: str | None, device: str) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    if address is not None:
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (OSError, RayError, ValueError, RuntimeError) as error:
            raise MissingError(
                f"--address {address}: no Ray cluster can be reached there ({last_line(error)}); `ray start --head` "
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
