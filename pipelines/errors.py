"""Errors about data; their messages say what to do."""

from __future__ import annotations

from collections.abc import Iterable

from bench.text.nearest import unknown


class PipelineError(Exception):
    """The base of every error here; its text is one message for the user."""


class WrongOption(PipelineError):
    """A name or an option that does not exist or does not fit."""

    @classmethod
    def unknown(cls, kind: str, name: str, allowed: Iterable[str]) -> WrongOption:
        """The error for a name of this `kind` ("option of digits data") that is not `allowed`; names the nearest."""
        return cls(unknown(kind, name, sorted(allowed), None))


class DataMissing(PipelineError):
    """The data is not on this machine and could not be fetched."""


class DataCorrupt(PipelineError):
    """A file is there, but it is truncated, altered, or not what its name says."""


class PartMissing(PipelineError):
    """A requested optional library is not installed or does not load."""
