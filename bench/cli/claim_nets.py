"""The networks that judge, start or teach what a claim trains: those that no run here has kept are trained first."""

from __future__ import annotations

import time
from functools import cached_property

from rich.console import Console

from bench.claims.cells import Claim
from bench.cli.claim_options import ClaimsOptions
from bench.cli.commands.run import run_seeds
from bench.cli.run_options import RunOptions
from bench.errors import STOPPED, MissingError
from bench.runs import weights
from bench.spec import kept_nets
from bench.spec import matrix as matrices
from bench.text.console import say


class ClaimNets:
    """The networks that the cells of a claim need.

    `obstacle` says what a training lacked or how it failed, and `failed` whether it began.
    """

    def __init__(self, claim: Claim, device: str, options: ClaimsOptions, console: Console) -> None:
        self.claim, self.device, self.options, self.console = claim, device, options, console
        self.obstacle: str | None = None
        self.failed = False

    @cached_property
    def untrained(self) -> list[str]:
        """Their recipes, each once. Raises `UsageError` for a mistake in the claim's matrix."""
        measure = self.claim.matrix.spec.measure
        configs = matrices.configs(self.claim.matrix, self.device)
        return list(dict.fromkeys(name for _, config in configs for name in kept_nets.untrained(config, measure)))

    def train(self) -> bool:
        """Train each once with seed 0 and keep its weights, up to the first that cannot be had; false after Ctrl-C."""
        for recipe in self.untrained:
            say(self.console, f"{self.claim.id} needs a network that {recipe} trains, and no run here kept one")
            options = RunOptions(
                recipe,
                seeds=1,
                data_dir=self.options.data_dir,
                device=self.options.device,
                results=self.options.results,
                keep_weights=True,
            )
            try:
                campaign = run_seeds(options, self.console, began_s=time.monotonic())
            except MissingError as error:
                self.obstacle = f"needs a network that {recipe} trains: {str(error).splitlines()[0]}"
                return True
            if campaign.exit_code() == STOPPED:
                return False
            (run,) = campaign.runs
            if not weights.are_kept(run.run_id, self.options.results):
                self.failed = True
                self.obstacle = f"needs a network that {recipe} trains, and that training has the status {run.status}"
                return True
        return True
