"""The options about where runs are carried out, and the hosts that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.documents.document import parse_setting
from bench.errors import UsageError
from bench.execution.device_pool import Allotment, Gpus, allot, find_gpus
from bench.execution.executors import check_installed
from bench.execution.executors.executor import Executor
from bench.execution.executors.local import Local
from bench.execution.host_check import HostCheck
from bench.host.fingerprint import device_count
from bench.runs.store import Store
from bench.spec.host_choice import HostChoice

# What Slurm has is known to Slurm alone, which refuses what asks for more.
UNKNOWN = 1 << 20


class ExecutorChoice(StrEnum):
    local = "local"
    ray = "ray"
    slurm = "slurm"


Where = Annotated[
    ExecutorChoice, typer.Option("--executor", help="Where the runs are carried out: here, or on a cluster's hosts.")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="With --executor ray: a running cluster; else $RAY_ADDRESS, else a cluster is started on this machine.",
    ),
]
SlurmSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="With --executor slurm: what to ask for, such as partition=gpu or timeout_min=60; repeatable.",
    ),
]


@dataclass(frozen=True)
class Hosts:
    """The hosts of one command's runs.

    Earlier runs on machines with these ids count as theirs (None: all do). `devices` is the most that one run can have
    on one host. At most `most_neighbours` other runs share a host with a run (None: they do not disturb it), and there
    are at most `slots` runs in all. `check` lets each host of a cluster be judged before its first run.
    """

    executor: Executor
    machine_ids: frozenset[str] | None
    devices: int
    count: int
    most_neighbours: int | None
    slots: int
    notes: tuple[str, ...] = ()
    check: Callable[[HostCheck], None] | None = None


def check_options(where: ExecutorChoice, address: str | None, slurm: Sequence[str] | None) -> None:
    """Refuse options of another executor. Raises UsageError, and MissingError for an engine that is not installed."""
    for option, value, owner in (("--address", address, "ray"), ("--slurm", slurm[0] if slurm else None, "slurm")):
        if value is not None and where != owner:
            raise UsageError(f"{option} {value}: this is for --executor {owner}; add that, or leave this out")
    check_installed(where)


def hosts_here(jobs: int | None, device: str, machine: Mapping[str, Any]) -> Hosts:
    """This machine as it is now. Raises UsageError for more jobs than it allows."""
    gpus = find_gpus() if device == "cuda" else Gpus()
    allotment = allot(jobs, device, gpus)
    # On a CPU the jobs share the cores.
    found = len(gpus.usable) if device == "cuda" else device_count(machine, device) // allotment.jobs
    return Hosts(
        Local(allotment),
        frozenset([str(machine["id"])]),
        found,
        1,
        allotment.jobs - 1 if device == "cpu" else None,
        allotment.jobs,
        tuple(_cautions(allotment, device, gpus)),
    )


@contextmanager
def hosts_elsewhere(
    where: ExecutorChoice,
    address: str | None,
    slurm: Sequence[str] | None,
    device: str,
    jobs: int | None,
    data_dir: Path | None,
    store: Store,
    choice: HostChoice,
    say: Callable[[str], None],
) -> Iterator[Hosts]:
    """The hosts of a cluster, which the executor leaves at the end. Raises the errors of `Ray` and `Slurm`."""
    from bench.execution.executors.on_host import Driver

    driver = Driver.here(data_dir, choice)
    if where == ExecutorChoice.slurm:
        from bench.execution.executors.slurm import Slurm

        if choice.same_machine:
            raise UsageError("--same-machine: Slurm chooses the hosts; name one by --slurm, or use --executor ray")
        asked = dict(parse_setting("--slurm", text) for text in slurm or ())
        with Slurm(store.path.parent.parent, jobs, driver, asked, store, say) as cluster:
            yield Hosts(cluster, None, UNKNOWN, UNKNOWN, None, cluster.slots, check=cluster.check_hosts)
        return
    from bench.execution.executors.ray_token import present_token

    present_token()
    from bench.execution.executors.ray import Ray

    with Ray(address or os.environ.get("RAY_ADDRESS"), device, jobs, driver, say) as cluster_of_ray:
        machines = cluster_of_ray.machines
        yield Hosts(
            cluster_of_ray,
            frozenset(str(machine["id"]) for machine in machines),
            cluster_of_ray.devices,
            len(machines),
            cluster_of_ray.most_neighbours if device == "cpu" else None,
            cluster_of_ray.slots,
            check=cluster_of_ray.check_hosts,
        )


def _cautions(allotment: Allotment, device: str, gpus: Gpus) -> list[str]:
    """What may disturb the clock."""
    notes = [gpus.note] if gpus.note else []
    if allotment.jobs > 1 and device == "cpu":
        notes.append(
            f"{allotment.jobs} runs at once share this CPU, each with {allotment.cores_of_a_run} of its cores: they "
            "disturb each other's clocks, and their times compare with those of such a sweep alone; each row says so "
            "in config.resolved.neighbours"
        )
    elif allotment.jobs > 1:
        notes.append(
            f"up to {allotment.jobs} runs at once, each on GPUs of its own; they share the CPU, the memory and the disk"
        )
    return notes
