"""A view whose failures cannot affect the work it shows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

from bench.text.console import complain


class Harmless:
    """Wraps a view of a run or sweep. The first failure is reported on stderr; after it nothing is shown."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self._failed = False

    def __enter__(self) -> Self:
        self._show("__enter__")
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Exception, SystemExit):  # also after a failure, to restore the terminal's cursor
            self._view.__exit__(*error)

    def __call__(self, event: dict[str, Any]) -> None:
        self._show("__call__", event)

    def begin(self, *what: Any) -> None:
        self._show("begin", *what)

    def take(self, *what: Any) -> None:
        self._show("take", *what)

    def end(self, *what: Any) -> None:
        self._show("end", *what)

    def _show(self, method: str, *what: Any) -> None:
        if self._failed:
            return
        try:
            getattr(self._view, method)(*what)
        except (Exception, SystemExit) as error:
            self._failed = True
            with suppress(Exception):
                complain(f"the display failed ({type(error).__name__}: {error}); the work goes on")
