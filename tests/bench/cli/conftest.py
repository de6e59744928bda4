"""The command line in this process: its real entry point, with the exit code and both outputs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cli.app import main


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def exit_code_of_main() -> int:
    """The exit code of the command in `sys.argv`; an exception is a traceback, and raised."""
    with warnings.catch_warnings():
        try:
            main()
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(bool(error.code))
    return 0


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`bench("run", "digits")` as a user would type it in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        capfd.readouterr()
        code = exit_code_of_main()
        sys.stdout.flush()
        printed = capfd.readouterr()
        return Answer(code, printed.out, printed.err)

    return call
