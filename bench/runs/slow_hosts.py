"""Hosts that are not as fast as others of their kind, by reference kernels that do not depend on the code.

Machines with the same fingerprint should compute a matrix product and copy memory in the same time. A host that needs
longer has a neighbour or a lower clock, or is broken, and every run on it takes longer too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from bench.runs.readings import host_of
from bench.runs.run import Run

KERNELS = {"matrix_product": "a matrix product", "memory_copy": "a memory copy"}
# Equal hosts of one kind differ by a few percent, in the clock and in the memory.
SHARE = 0.10
# With fewer others, a faster host may be the only one that is in order.
LEAST_FOR_FAST = 3

# Of each kernel NAME_s, its seconds, and NAME_hz, the clock meanwhile, None if it is hidden.
Reference = Mapping[str, float | None]
# The median seconds of each kernel.
Medians = dict[str, float]


class KnownReferences:
    """The readings of reference kernels that runs recorded, by the machine's fingerprint and the host's key."""

    def __init__(self, runs: Iterable[Run]) -> None:
        found: dict[object, dict[str, list[Reference]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            reference, host = run.machine.get("reference"), host_of(run)
            if reference and host is not None:
                found[run.machine.get("id")][host].append(reference)
        self._by_machine = {
            machine: {host: _medians(readings) for host, readings in hosts.items()} for machine, hosts in found.items()
        }

    def add(self, machine: Mapping[str, Any]) -> None:
        """Know what a host says of itself now, if nothing is known of it."""
        host = machine.get("host")
        if host is not None and (reference := machine.get("reference")):
            self._by_machine.setdefault(machine.get("id"), {}).setdefault(str(host), _medians([reference]))

    def of_hosts(self, machine: Mapping[str, Any]) -> dict[str, Medians]:
        """The hosts with this machine's fingerprint."""
        return self._by_machine.get(machine.get("id"), {})


def off(machine: Mapping[str, Any], known: KnownReferences, share: float = SHARE) -> str | None:
    """Why the host of this fingerprint is off, in words; None if it is not, or if nobody can tell.

    Each kernel in `machine["reference"]`, or without it what is known of this host, is compared with the median of the
    other hosts of the same fingerprint. The host is off if a kernel takes longer by more than `share`. A host that
    is faster than the others by more than that is off too, but only if there are at least `LEAST_FOR_FAST` others.
    """
    hosts = known.of_hosts(machine)
    reference = machine.get("reference")
    own = _medians([reference]) if reference else hosts.get(str(machine.get("host")), {})
    others = [medians for host, medians in hosts.items() if host != machine.get("host")]
    said = []
    for kernel, name in KERNELS.items():
        theirs = [medians[kernel] for medians in others if kernel in medians]
        if theirs and kernel in own:
            ratio = own[kernel] / median(theirs)
            than = f"than on {len(theirs)} other host{'' if len(theirs) == 1 else 's'} of its kind"
            if ratio > 1 + share:
                said.append(f"{name} takes {ratio - 1:.0%} longer {than}")
            elif 1 / ratio > 1 + share and len(theirs) >= LEAST_FOR_FAST:
                said.append(f"{name} takes {1 - ratio:.0%} less {than}")
    return " and ".join(said) or None


def told(runs: Iterable[Run]) -> str | None:
    """The hosts of these runs that are off, and why; None if none is.

    A host is off by what these runs recorded, or by what was known when one of them began (`machine.off`).
    """
    runs = list(runs)
    known, found = KnownReferences(runs), dict[str, str]()
    hosts = dict.fromkeys((run.machine.get("id"), host_of(run)) for run in runs)
    now = {of: off({"id": of[0], "host": of[1]}, known) for of in hosts}
    for run in runs:
        host = host_of(run)
        why = now[run.machine.get("id"), host] or run.machine.get("off")
        if host is not None and why:
            found.setdefault(host, why)
    return "; ".join(f"host {host} is off: {why}" for host, why in found.items()) or None


def _medians(readings: Iterable[Reference]) -> Medians:
    readings = list(readings)
    seconds = {kernel: [s for one in readings if (s := one.get(f"{kernel}_s"))] for kernel in KERNELS}
    return {kernel: median(found) for kernel, found in seconds.items() if found}
