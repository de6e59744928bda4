"""Commands in this process with workers of one fork server, for tests that are not about how processes start."""

from __future__ import annotations

import contextlib
import contextvars
import io
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from bench.cli.commands import run as run_command
from bench.execution import runner
from tests.bench.cli.conftest import Answer, exit_code_of_main
from tests.command import ENVIRONMENT


@pytest.fixture(scope="module")
def here(fork_server: None) -> Iterator[Callable[..., Answer]]:
    """`here(folder, "run", "digits")` as a user would type it in that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_command, "execute", partial(runner.execute, start_method="forkserver"))
        yield _call


def _call(folder: Path, *arguments: object, **environment: str) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": ENVIRONMENT["COLUMNS"], **environment}),
        mock.patch.object(sys, "argv", ["bench", *map(str, arguments)]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = contextvars.copy_context().run(exit_code_of_main)  # which sets the folder of results, for itself alone
    return Answer(code, out.getvalue(), err.getvalue())
