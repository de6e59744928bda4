"""Commands are found, listed and imported as bench/cli/lazy.py says."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Annotated

import pytest
import typer
from rich.console import Console

from bench.cli import commands, lazy
from bench.cli.lazy import LazyGroup, with_fields_as_options


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(help="wide")] = 3
    depth: int = 2


@dataclass(frozen=True)
class Options:
    name: str
    size: Size = field(default_factory=Size)


def test_a_dataclass_stands_for_its_fields_and_a_console_is_given():
    def command(options: Options, console: Console, quick: bool = False) -> object:
        return options, type(console), quick

    made = with_fields_as_options(command)
    assert list(inspect.signature(made).parameters) == ["name", "width", "depth", "quick"]
    options, console, quick = made(name="a", width=5, depth=1, quick=True)
    assert (options, quick) == (Options("a", Size(5, 1)), True)
    assert issubclass(console, Console)


def every_command(package: ModuleType = commands) -> list[str]:
    """The modules of all commands, those in groups too."""
    group = LazyGroup(name="bench")
    group.package = package
    found = []
    for name in package.COMMANDS:
        module_name = group._module_name(name)
        found.append(module_name)
        if hasattr(module := import_module(module_name), "COMMANDS"):
            found += every_command(module)
    return found


@pytest.mark.parametrize("module_name", every_command())
def test_each_command_is_listed_by_a_sentence_and_its_help_begins_with_it(module_name: str):
    summary = lazy._summary(module_name)
    assert summary.endswith((".", "…"))
    assert summary == (import_module(module_name).__doc__ or "").split("\n")[0]
    assert lazy.load(module_name).help.startswith(summary)


def test_the_help_imports_no_command():
    code = (
        "import sys\nfrom bench.cli.app import main\nsys.argv = ['bench', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('bench.cli.commands.')], file=sys.stderr)\n"
        "print({'torch', 'pandas', 'numpy', 'scipy', 'pydantic'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\nset()\n"


def test_the_version_is_told(bench):
    answer = bench("--version")
    assert answer.code == 0
    assert answer.out.startswith("bench 0.1.0 (Python 3.")


def test_a_mistyped_command_is_told_with_the_nearest(bench):
    answer = bench("reslts")
    assert answer.code == 2
    meant = "there is no command 'reslts' (did you mean 'results' or 'regress'?)"
    assert answer.err == f"bench: {meant}; `bench --help` says what there is\n"
