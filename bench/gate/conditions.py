"""What results were measured with, beside code and settings: the machine, the packages and the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.gate import packages
from bench.gate.source import Result
from bench.host import provenance
from bench.runs.labels import show

# Parts of a fingerprint that are named if two machines differ.
TOLD_OF_MACHINES = (
    "cpu_model", "usable_cores", "cpu_quota", "omp_num_threads", "gpus", "gpu_driver", "torch", "device",
)  # fmt: skip
# Of a fingerprint of data.
DIGITS = 12


def of_another_machine(base: Sequence[Result], head: Sequence[Result], every: Sequence[Result] = ()) -> str | None:
    """Why these results, and `every` other one, may not be of one machine; None if they are."""
    machines = {result.machine.get("id") for result in (*base, *head, *every)}
    if None in machines:
        return "it is not recorded on which machine all of this was measured, so that it may be another"
    if len(machines) > 1:
        return f"measured on another machine ({difference_of_machines(base[-1].machine, head[-1].machine)})"
    return None


def difference_of_machines(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """The first facts in which two machines differ."""
    told = [
        f"{key}: {show(one.get(key))} and {show(other.get(key))}"
        for key in TOLD_OF_MACHINES
        if one.get(key) != other.get(key)
    ]
    return "; ".join(told[:3]) or "their fingerprints differ"


def other_packages(base: Sequence[Result], head: Sequence[Result]) -> str | None:
    """`numpy 1.26.4 → 2.1.0`, and so on; None if the packages are equal, or not recorded on a side."""
    return packages.difference(_versions(base), _versions(head))


def other_data(base: Sequence[Result], head: Sequence[Result]) -> str | None:
    """The remark if the data of both sides are different; None if they are equal, or not recorded on a side."""
    sides = [sorted({one.data_fingerprint[:DIGITS] for one in side if one.data_fingerprint}) for side in (base, head)]
    if not all(sides) or sides[0] == sides[1]:
        return None
    return f"the data differ (hashes {' and '.join(sides[0])} → {' and '.join(sides[1])})"


def _versions(results: Sequence[Result]) -> dict[str, str]:
    found = provenance.by_package(result.versions for result in results)
    return {name: " and ".join(versions) for name, versions in found.items()}
