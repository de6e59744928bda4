"""The check of a host before its runs: is it as fast as others of its kind?"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.errors import MissingError
from bench.execution import imports
from bench.execution.interrupts import ctrl_c_ignored, main_left_alone
from bench.execution.recording import Recorder
from bench.profiling.host_speed import reference_kernels
from bench.runs.slow_hosts import KnownReferences, Reference, off

# The kernels take a second or two; a host that does not finish them in this time is off, whatever the others do.
LIMIT_S = 120.0
# Runs that take less in all are not worth the check, which takes some seconds.
WORTH_S = 600.0

Kernels = Callable[[str], Reference]


@dataclass(frozen=True)
class HostCheck:
    """Compares hosts with the `known` ones of their kind. One that is off gets no run if it is to be `refused`."""

    known: KnownReferences
    refused: bool

    def judge(self, machine: dict[str, Any], reference: Reference | None) -> str | None:
        """Why the host is off, if it is; that and the times of its kernels become facts of the `machine`.

        None in the place of the times means that the kernels have not ended in time.
        """
        if reference is None:
            why: str | None = f"its reference kernels did not end within {LIMIT_S:g} s, or their process ended"
        else:
            machine["reference"] = dict(reference)
            why = off(machine, self.known)
        machine["off"] = why
        return why


def check_host(recorder: Recorder, device: str, refuse: bool, kernels: Kernels = reference_kernels) -> str | None:
    """Time the reference kernels, and put them into every record of this command; why the host is off, if it is.

    It is compared with what the store's runs say of other hosts with the same fingerprint. With `refuse`, a host that
    is off raises MissingError. Nothing else should be timed meanwhile.
    """
    reference = measured_apart(kernels, device)
    why = HostCheck(KnownReferences(recorder.store.read()), refuse).judge(recorder.machine, reference)
    if why and refuse:
        raise MissingError(
            f"this host ({recorder.machine['host']}) is off: {why}; free it or take another one, "
            "or let its runs be marked with --slow-host mark"
        )
    return why


def measured_apart(kernels: Kernels, device: str) -> Reference | None:
    """The answer of the kernels, timed in a process of their own; None if there is none in time."""
    imports.protect_children()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, kernels, device))
    with ctrl_c_ignored(), main_left_alone():
        process.start()
    sender.close()
    try:
        with suppress(EOFError, OSError):
            if receiver.poll(LIMIT_S):
                answer: Reference = receiver.recv()
                return answer
        return None
    finally:
        process.kill()
        process.join()
        receiver.close()


def _send(sender: Any, kernels: Kernels, device: str) -> None:
    sender.send(kernels(device))
