"""What can go wrong with data, said so that the reader knows what to do."""


class PipelineError(Exception):
    """The base of every error here; its text is one message for the user."""


class WrongOption(PipelineError):
    """A name or an option that does not exist or does not fit."""


class DataMissing(PipelineError):
    """The data is not on this machine and could not be fetched."""


class DataCorrupt(PipelineError):
    """A file is there, but it is truncated, altered, or not what its name says."""
