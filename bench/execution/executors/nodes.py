"""The nodes of a cluster: what each is, and which of its shares are free."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.errors import MissingError, UsageError
from bench.execution.executors.on_host import HostFacts
from bench.execution.measured import Refused
from bench.host.share import Share
from bench.spec.sweep_plan import PlannedRun
from bench.text.units import counted

# How long a cluster without nodes, or without those that a run needs, has to get them.
NODELESS_S = 60.0


@dataclass
class Node:
    """One node. `cpus` and `gpus` are what the engine says it has; its `slots` shares are in `free` if no run has them.

    A run asks for `cpus_of_a_run` of the CPUs, and for as many GPUs as it has devices here. `cores` are those that are
    the node's alone; none if its runs are not bound to any.
    """

    id: str
    cpus: int
    gpus: int
    facts: HostFacts
    slots: int = 1
    cores: tuple[int, ...] = ()
    free: list[Share] = field(default_factory=list)
    free_gpus: int = 0

    @property
    def cpus_of_a_run(self) -> int:
        return self.cpus // self.slots

    def devices(self, on_gpus: bool) -> int:
        """The most devices that one run can have here: GPUs, or the cores of a share."""
        return self.gpus if on_gpus else self.cpus_of_a_run

    def has_room(self, devices: int, on_gpus: bool) -> bool:
        """Whether a run on so many devices can begin here now."""
        return bool(self.free) and devices <= (self.free_gpus if on_gpus else self.cpus_of_a_run)

    def take(self, gpus: int) -> Share:
        self.free_gpus -= gpus
        return self.free.pop(0)

    def give_back(self, share: Share, gpus: int) -> None:
        self.free_gpus += gpus
        self.free.insert(0, share)


class Lack:
    """Since when the nodes have lacked what the next run needs, however free they are."""

    since_s: float | None = None

    def is_over(self) -> None:
        self.since_s = None

    def check(self, entry: PlannedRun, nodes: Sequence[Node], on_gpus: bool) -> None:
        """Raises Refused if that has been so for a while."""
        devices = entry.devices // entry.nodes
        able = sum(node.devices(on_gpus) >= devices for node in nodes)
        if able >= entry.nodes:
            self.is_over()
        elif self.since_s is None:
            self.since_s = time.monotonic()
        elif time.monotonic() - self.since_s > NODELESS_S:
            self.is_over()
            each = counted(devices, "GPU" if on_gpus else "core")
            raise Refused(
                f"needs {counted(entry.nodes, 'node')} with {each} each, and the cluster has had {able} for "
                f"{NODELESS_S:.0f} s; add what is missing, and the same command runs it",
                MissingError.exit_code,
            )


def share_out(node: Node, jobs: int | None, on_gpus: bool, others: Iterable[Node]) -> None:
    """Divide a new node into `jobs` shares (None: one for each GPU), each with cores of its own.

    Nodes on one machine, which a cluster for tests has, get different cores. Raises UsageError for more jobs than the
    node has devices.
    """
    devices, kind = (node.gpus, "GPUs") if on_gpus else (node.cpus, "CPUs")
    node.slots = jobs or (max(node.gpus, 1) if on_gpus else 1)
    if node.slots > max(devices, 1):
        raise UsageError(f"--jobs {node.slots}: a node of the cluster has {devices} {kind}, and a job needs one")
    node.free_gpus = node.gpus
    node.cores = () if on_gpus else _own_cores(node, [one for one in others if one.facts.boot == node.facts.boot])
    size = node.cpus_of_a_run
    parts = [node.cores[at * size : (at + 1) * size] or None for at in range(node.slots)]
    node.free = [Share(cores=part) for part in parts]


def neighbours_of(node: Node, nodes: Iterable[Node]) -> int:
    """How many other runs there may be on the node's machine at once."""
    return sum(one.slots for one in nodes if one.facts.boot == node.facts.boot) - 1


def _own_cores(node: Node, here: Sequence[Node]) -> tuple[int, ...]:
    """As many of the machine's cores as the node has CPUs, and none of the nodes that are `here` already.

    There are none if the nodes promise more cores than the machine has; a run that has all of it is not bound either.
    """
    taken = {core for one in here for core in one.cores}
    left = [core for core in node.facts.cores if core not in taken]
    is_alone = node.slots == 1 and node.cpus >= len(node.facts.cores)
    return () if is_alone or node.cpus > len(left) else tuple(left[: node.cpus])
