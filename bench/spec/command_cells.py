"""The cells of a matrix whose subject is a command: each axis fills a placeholder or sets an environment variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from bench.spec.command import SEED, Command
from bench.text.nearest import did_you_mean

ENV = "env."

Refuse = Callable[[str, str], NoReturn]


def check_axes(command: Command, keys: Mapping[str, str], refuse: Refuse) -> None:
    """Refuse a key that varies nothing, at the place that `keys` gives for it, and a placeholder that nothing fills."""
    places = command.placeholders - {SEED}
    for key, where in keys.items():
        if key == SEED:
            refuse(where, "each run has a seed of its own; say how many with seeds:")
        if key not in places and not key.startswith(ENV):
            there = f"; there are: {', '.join(sorted(places))}" if places else ""
            refuse(
                where,
                f"{key!r} is no placeholder of the command{did_you_mean(key, places)}{there}; write {{{key}}} in it, "
                f"or set a variable with {ENV}NAME",
            )
    if missing := sorted(places - keys.keys()):
        refuse("command", f"nothing fills {{{missing[0]}}}: add an axis {missing[0]}")


def filled(command: Command, values: Mapping[str, Any]) -> Command:
    """The command of one cell. Raises pydantic's ValidationError for a bad variable name."""
    variables = {key.removeprefix(ENV): value for key, value in values.items() if key.startswith(ENV)}
    if variables:
        command = command.with_env(variables)
    return command.with_values({key: value for key, value in values.items() if not key.startswith(ENV)})
