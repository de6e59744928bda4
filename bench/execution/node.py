"""The host that a worker of a cluster runs on, as the records of its runs tell it."""

from __future__ import annotations

from typing import Any

from bench.host.fingerprint import fingerprint
from bench.profiling.host_speed import reference_kernels


def node(device: str, salt: str | None = None, reference: bool = False) -> dict[str, Any]:
    """This host's fingerprint, with the host's key by the salt of the command that asks.

    With `reference` the seconds of the reference kernels on `device` are added, which takes a second or two, imports
    torch, and disturbs whatever runs there. Call it before the process is restricted to a part of the host.
    """
    facts = fingerprint(salt)
    return facts | {"reference": reference_kernels(device)} if reference else facts
