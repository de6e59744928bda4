"""Options on the hosts of runs: which machine, whether one host alone, and what is made of a slow one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from bench.cli.options import Pin
from bench.errors import MissingError
from bench.execution.host_check import WORTH_S, HostCheck, check_host
from bench.execution.recording import Recorder
from bench.runs.slow_hosts import KnownReferences
from bench.spec.host_choice import HostChoice


class SlowHostChoice(StrEnum):
    mark = "mark"
    refuse = "refuse"
    ignore = "ignore"


@dataclass(frozen=True)
class HostOptions:
    """Where runs are made."""

    pin: Pin = None
    same_machine: Annotated[
        bool, typer.Option("--same-machine", help="All runs on one host; those made on others do not count as done.")
    ] = False
    slow_host: Annotated[
        SlowHostChoice | None,
        typer.Option(
            help="Time reference kernels first, and mark or refuse a host that is off by more than 10 % of others of "
            "its kind. Default: mark, before runs that are expected to take ten minutes or more."
        ),
    ] = None

    def choice(self, rounds: bool = False) -> HostChoice:
        """Raises UsageError for a pin that cannot be one."""
        return HostChoice(self.pin, self.same_machine, rounds)

    def host(self, machine: Mapping[str, Any]) -> str | None:
        """The only host whose runs count, None for any.

        Raises MissingError if the pin is of another machine, or if a host cannot be told from others.
        """
        if why := self.choice().refusal(machine):
            raise MissingError(f"{why}; run it there, or leave out --pin")
        if self.same_machine and machine.get("host") is None:
            raise MissingError(
                "--same-machine: this host has no key, because no salt can be kept for it; "
                "let $XDG_CONFIG_HOME name a folder that you can write to"
            )
        return machine.get("host") if self.same_machine else None

    def check(self, recorder: Recorder, device: str, expected_s: float | None) -> str | None:
        """Check the host before runs that are expected to take so long in all; the warning, if it is off.

        Raises MissingError if it is off and such a host is refused.
        """
        if not self._is_worth_it(expected_s):
            return None
        why = check_host(recorder, device, refuse=self.slow_host is SlowHostChoice.refuse)
        return why and f"this host ({recorder.machine['host']}) is off, and its runs are marked: {why}"

    def check_of_cluster(self, recorder: Recorder, expected_s: float | None) -> HostCheck | None:
        """The check of a cluster's hosts before such runs, None if they are not checked."""
        if not self._is_worth_it(expected_s):
            return None
        return HostCheck(KnownReferences(recorder.store.read()), self.slow_host is SlowHostChoice.refuse)

    def _is_worth_it(self, expected_s: float | None) -> bool:
        return (expected_s or 0.0) >= WORTH_S if self.slow_host is None else self.slow_host != SlowHostChoice.ignore
