"""A script as it is: the command that starts it, and how to learn what happens inside it."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from bench.documents.document import refuse
from bench.documents.limits import LARGEST_SEED
from bench.documents.strict import Seconds, Strict
from bench.host.script_sources import SOURCES
from bench.runs.run import cell_id
from bench.spec.epoch_pattern import EXAMPLE, BadPattern, EpochPattern

SEED = "seed"
# Set for every script, whether or not its command line has a {seed}.
SEED_VARIABLE = "BENCH_SEED"
# A name in braces. Anything else in braces, such as JSON, is left alone.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.-]*)\}")
TASK = re.compile(r"[\w.@+-]+(/train)?")
MOST_ARGUMENTS = 10_000
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
# A time limit does not change what is run.
_NOT_IDENTITY = ("timeout_s", "parameters")

Text = Annotated[str, Field(max_length=100_000)]


class Command(Strict):
    """A command line, and what to learn from its runs.

    `argv` may be one string, which is split as a shell splits it; no shell runs it. `{seed}` in it, and in the values
    of `env`, is each run's seed. `cwd` is relative to the folder of the matrix, of the command, or of the checkout.
    `target` is an accuracy, a fraction, and `task` names what was learned (`cifar10/train`), so that the runs stand on
    one leaderboard with those of recipes. `buffered` leaves Python's output buffered as it is by hand. `parameters` are
    the values of a matrix's axes, which `with_values` has put in place.
    """

    argv: Annotated[list[Text], Field(min_length=1, max_length=MOST_ARGUMENTS)]
    cwd: str = "."
    env: dict[str, Text] = Field(default_factory=dict)
    epoch_pattern: Text | None = None
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    task: str | None = None
    timeout_s: Seconds | None = None
    buffered: bool = False
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_line(cls, value: Any) -> Any:
        return {"argv": value} if isinstance(value, str | list) else value

    @field_validator("argv", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{str(error).lower()}, as a shell would split it") from None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if not self.argv[0]:
            refuse("argv", "the program has no name")
        if any("\0" in text for text in (*self.argv, *self.env.values())):
            refuse("argv", "no argument and no environment variable can hold a zero byte")
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                refuse(f"env.{name[:80]}", "an environment variable's name is letters, digits and _")
        folder = PurePath(self.cwd)
        if folder.is_absolute() or ".." in folder.parts:
            refuse("cwd", f"{self.cwd!r} leads out of its folder; give one inside it, such as . or src")
        if self.task is not None and not TASK.fullmatch(self.task):
            refuse("task", f"{self.task[:80]!r} is no task; write data set and /train, such as cifar10/train")
        if self.epoch_pattern is not None:
            try:
                pattern = EpochPattern(self.epoch_pattern)
            except BadPattern as error:
                refuse("epoch_pattern", str(error))
            if self.target is not None and not pattern.tells_accuracy:
                refuse(
                    "epoch_pattern", "target needs an accuracy: name a group of it (?P<accuracy>…) or (?P<percent>…)"
                )
        return self

    @property
    def script(self) -> str:
        """The name of what is run: the first source file, the module after -m, or the program."""
        files = (word for word in self.argv if PurePath(word).suffix.lower() in SOURCES and not word.startswith("-"))
        modules = (word for flag, word in itertools.pairwise(self.argv) if flag == "-m")
        named = next(files, next(modules, self.argv[0]))
        return PurePath(named).name or self.argv[0]

    @property
    def data_name(self) -> str:
        """The first part of the task, or the script's name if there is no task."""
        return (self.task or self.script).removesuffix("/train")

    @property
    def uses_seed(self) -> bool:
        """Whether the seed stands in the command line or the environment."""
        return SEED in self.placeholders

    def target_note(self, pattern: str) -> str | None:
        """What must report the accuracy for a target, where no `pattern` (the option's name) does; else None."""
        if self.target is None or self.epoch_pattern is not None:
            return None
        return (
            f"without {pattern}, a run fails unless the script itself sends its accuracy in an epoch event "
            f"(docs/script.md); if the script prints its accuracy, give {pattern}, such as {EXAMPLE}"
        )

    @property
    def placeholders(self) -> set[str]:
        """All names in braces."""
        return {name for text in (*self.argv, *self.env.values()) for name in PLACEHOLDER.findall(text)}

    def argv_of(self, seed: int) -> list[str]:
        """The program and its arguments for one seed; raises ValueError for a seed out of range."""
        return [_fill(text, {SEED: seed}) for text in self.argv]

    def env_of(self, seed: int) -> dict[str, str]:
        """The variables that are set beside the user's own."""
        if not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"a seed is 0 to {LARGEST_SEED}, not {seed}")
        unbuffered = {} if self.buffered else {"PYTHONUNBUFFERED": "1"}
        return (
            unbuffered
            | {name: _fill(text, {SEED: seed}) for name, text in self.env.items()}
            | {SEED_VARIABLE: str(seed)}
        )

    def with_values(self, values: Mapping[str, Any]) -> Command:
        """A copy with values in place of its placeholders; raises KeyError for a name that is not one of them."""
        for name in values:
            if name not in self.placeholders or name == SEED:
                raise KeyError(name)
        filled = {
            "argv": [_fill(text, values) for text in self.argv],
            "env": {name: _fill(text, values) for name, text in self.env.items()},
            "parameters": self.parameters | dict(values),
        }
        return Command.model_validate(self.model_dump() | filled)

    def with_env(self, variables: Mapping[str, Any]) -> Command:
        """A copy with these environment variables, which count as parameters."""
        changed = {
            "env": self.env | {name: _shown(value) for name, value in variables.items()},
            "parameters": self.parameters | dict(variables),
        }
        return Command.model_validate(self.model_dump() | changed)

    def identify(self, device: str, special: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], str]:
        """The config that a record holds, and the id of its cell; `special` holds axes that are not parameters.

        Parameters stand first, because labels show the first keys that differ. They do not count for the identity:
        `--lr 0.1` in a matrix and typed by hand are one command.
        """
        said = self.model_dump(mode="json", exclude={"argv", "target", "task"}, exclude_defaults=True)
        config = {
            **({"parameters": said.pop("parameters")} if self.parameters else {}),
            "command": list(self.argv),
            **said,
            "target_accuracy": self.target,
            "data": {"name": self.data_name},
            "device": device,
            **(special or {}),
        }
        identity = {key: value for key, value in config.items() if key not in _NOT_IDENTITY}
        return config, cell_id(identity | {"measure": "time_to_accuracy"})


def _fill(text: str, values: Mapping[str, Any]) -> str:
    """The text with the values that are given in place of their placeholders."""
    return PLACEHOLDER.sub(lambda found: _shown(values[found[1]]) if found[1] in values else found[0], text)


def _shown(value: Any) -> str:
    """As a person would type it: `0.1`, `true`; what is no single word or number as JSON, and null as `null`."""
    is_plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)
