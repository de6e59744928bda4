"""A run on several hosts: where its ranks meet, and how it ended from what each host says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import MissingError
from bench.execution.executors.host_report import HostReport
from bench.execution.measured import Measured
from bench.spec.job import Meeting

# How long a host waits for the first one of its run.
MEETING_S = 300.0
MEETING_POLL_S = 0.2
# The ranks of other hosts only see that a connection closed; the first of these say more than that.
TELLING = ("oom", "diverged", "crashed", "timeout", "failed")


def meeting_of(host_index: int, address: str, meet: Callable[[str | None], str | None]) -> Meeting:
    """Agree on a free port of the first host, whose name or number is `address` if this is it (index 0).

    `meet` keeps what it is given for the other hosts, and returns what is kept. Raises MissingError if the first host
    does not come.
    """
    if host_index == 0:
        with socket.socket() as free:
            free.bind(("", 0))
            endpoint = f"{address}:{free.getsockname()[1]}"
        meet(endpoint)
        return Meeting(endpoint, 0)
    end_s = time.monotonic() + MEETING_S
    while time.monotonic() < end_s:
        if (found := meet(None)) is not None:
            return Meeting(found, host_index)
        time.sleep(MEETING_POLL_S)
    raise MissingError(f"the first host of this run did not come within {MEETING_S:.0f} s")


def all_hosts(machines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a record says of the machines of one run: the first, and if there are several, all their hosts and which are
    off."""
    first, *others = machines
    if not others:
        return first
    off = "; ".join(dict.fromkeys(machine["off"] for machine in machines if machine.get("off")))
    return first | {"hosts": [machine.get("host") for machine in machines], "off": off or None}


def worst(outcomes: Mapping[int, HostReport], log: Path) -> Measured:
    """What the first host measured; if another host ended the run, with that host's status and reason.

    `outcomes` are by the number of the host; some may be missing. The log is that of the first one there is. Raises
    Refused if any host refused the run.
    """
    first = min(outcomes)
    refused = next((one for one in outcomes.values() if one.refusal is not None), None)
    measured = (refused or outcomes[first]).result(log)
    if measured.status not in TELLING:
        return measured
    statuses = {at: one.measured.status for at, one in outcomes.items()}
    at = min(statuses, key=lambda at: (TELLING.index(statuses[at]) if statuses[at] in TELLING else len(TELLING), at))
    if at != first:
        measured.status = statuses[at]
        measured.reason = f"host {at}: {outcomes[at].measured.reason}"
    return measured
