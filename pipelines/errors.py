"""Errors about data; their messages say what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PipelineError(Exception):
    """The base of every error here; its text is one message for the user."""


class WrongOption(PipelineError):
    """A name or an option that does not exist or does not fit."""

    @classmethod
    def unknown(cls, kind: str, name: str, allowed: Iterable[str]) -> WrongOption:
        """The error for a name of this `kind` ("data set", "loader") that is not among `allowed`; names the nearest."""
        names = sorted(allowed)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return cls(f"There is no {kind} {name!r}.{hint} Allowed: {', '.join(names)}.")


class DataMissing(PipelineError):
    """The data is not on this machine and could not be fetched."""


class DataCorrupt(PipelineError):
    """A file is there, but it is truncated, altered, or not what its name says."""


class PartMissing(PipelineError):
    """A requested optional library is not installed or does not load."""
