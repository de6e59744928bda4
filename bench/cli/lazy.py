"""Commands that are imported when they are called, so that `bench --help` and shell completion stay fast.

A command is a module of `bench.cli.commands`. Its docstring is the command's help, and its first line is what the list
of commands shows. The function of the same name does the work: its signature declares the options, and it may return
the exit code. A parameter whose type is a dataclass stands for all fields of that, each an option, and one of the type
Console is given the console. `EPILOG` is what `--help` ends with where the usual exit codes are not all, `CONTEXT` are
settings of the parser. A package is a group of commands, named by its `COMMANDS`;
a function of its name, where there is one, is called before them, or alone if it is `INVOKED_ALONE`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import typer
import typer.core
import typer.main
from rich.console import Console

from bench.cli.options import EXIT_CODES
from bench.text.console import LastingConsole
from bench.text.nearest import did_you_mean

# Names that Python keeps for itself; their modules end in an underscore.
PYTHONS = ("import", "list", "open")
CONTEXT = {"help_option_names": ["-h", "--help"]}


class LazyGroup(typer.core.TyperGroup):
    """The commands of a package."""

    package: ModuleType

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(self.package.COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A placeholder for a command in the list, with its summary; the command is not imported yet."""
        if cmd_name not in self.package.COMMANDS:
            return None
        return typer.core.TyperCommand(cmd_name, help=_summary(self._module_name(cmd_name)))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now."""
        name, *rest = args
        if name in self.package.COMMANDS:
            return name, load(self._module_name(name)), rest
        if ctx.resilient_parsing:
            return None, None, rest
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        return ctx.fail(f"there is no command {name[:80]!r}{did_you_mean(name, self.package.COMMANDS)}")

    def _module_name(self, name: str) -> str:
        part = name.replace("-", "_")
        return f"{self.package.__name__}.{f'{part}_' if part in PYTHONS else part}"


def load(module_name: str) -> Any:
    """The command, or the group of commands, that a module declares."""
    module = import_module(module_name)
    path = module_name.split(".")
    name = path[-1].rstrip("_").replace("_", "-")
    function = getattr(module, path[-1], None)
    shown: dict[str, Any] = {"help": module.__doc__, "epilog": getattr(module, "EPILOG", EXIT_CODES)}
    if not hasattr(module, "COMMANDS"):
        assert function is not None
        one = typer.Typer(add_completion=False)
        settings = CONTEXT | getattr(module, "CONTEXT", {})
        one.command(name, context_settings=settings, **shown)(with_fields_as_options(function))
        return typer.main.get_command(one)
    alone = getattr(module, "INVOKED_ALONE", False)
    group = typer.Typer(
        cls=LazyGroup,
        name=name,
        invoke_without_command=alone,
        no_args_is_help=not alone,
        # That of the program itself.
        add_completion=len(path) == 3,
        context_settings=CONTEXT,
        **shown,
    )
    group.callback()(with_fields_as_options(function or _nothing))
    made = cast(LazyGroup, typer.main.get_command(group))
    made.package = module
    return made


def with_fields_as_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with a parameter for each field of the dataclasses among its parameters, in their place.

    Fields that are dataclasses are taken apart in the same way, and a parameter of the type Console gets one.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in _options(signature)]

    @functools.wraps(function)
    def call(**given: Any) -> Any:
        return function(**_arguments(signature, given))

    del call.__wrapped__
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined, unused-ignore]
    call.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": signature.return_annotation}
    return call


def _options(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    for parameter in signature.parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            yield from _options(_fields(parameter.annotation))
        elif parameter.annotation is not Console:
            yield parameter


def _arguments(signature: inspect.Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the function gets for the options that were given."""
    made = {}
    for name, parameter in signature.parameters.items():
        if dataclasses.is_dataclass(parameter.annotation):
            kind: Any = parameter.annotation
            made[name] = kind(**_arguments(_fields(kind), given))
        else:
            made[name] = LastingConsole() if parameter.annotation is Console else given[name]
    return made


def _fields(kind: Any) -> inspect.Signature:
    return inspect.signature(kind, eval_str=True)


def _nothing() -> None:
    """What a group of commands does itself."""


def _summary(module_name: str) -> str:
    """The first line of a module's docstring, read without importing it."""
    spec = util.find_spec(module_name)
    assert spec is not None
    assert spec.origin is not None
    with Path(spec.origin).open(encoding="utf-8") as file:
        return file.readline().strip().strip('"')
