"""The entry point of `bench`. A command is imported when it is called; `bench.cli.lazy` says how."""

from __future__ import annotations

import gc
import sys

import typer

from bench.cli import lazy

# Imports make many objects and hardly any garbage, which Python would look for after every 700 of them.
OBJECTS_BETWEEN_COLLECTIONS = 100_000


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from bench.text.console import complain

    complain(f"warning: {message}")


def main() -> None:
    """Run the command line on streams that cannot fail, so that its exit code is that of its work."""
    from bench.execution import imports
    from bench.host import openmp
    from bench.text import streams

    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    streams.protect()
    imports.keep_to_own_code()
    openmp.settle()
    try:
        _run()
    except SystemExit as end:
        # The system takes back all memory at once; Python would look for garbage in it first.
        gc.freeze()
        sys.exit(streams.exit_code(end.code))


def _run() -> None:
    """Run the command line; a user's mistake is one message on stderr and its exit code, never a traceback."""
    import warnings

    from bench.errors import STOPPED, BenchError

    warnings.showwarning = _show_warning
    try:
        sys.exit(lazy.load("bench.cli.commands")(prog_name="bench", standalone_mode=False))
    except (BenchError, typer.TyperException) as error:
        from bench.text.console import complain

        complain(_told(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        from bench.text.console import complain

        complain("stopped")
        sys.exit(STOPPED)


def _told(error: Exception) -> str:
    """The message; for a wrong command line, with the command whose help explains it."""
    if not isinstance(error, typer.TyperException):
        return str(error)
    context = getattr(error, "ctx", None)
    hint = f"; `{context.command_path} --help` says what there is" if context else ""
    # "Value error" is what a parser of types calls it, and says nothing.
    return f"{error.format_message().replace(': Value error, ', ': ').rstrip('.')}{hint}"
