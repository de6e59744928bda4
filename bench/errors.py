"""Errors that end a command early. The text is one message for the user; the class determines the exit code."""

# The exit code where Ctrl-C or SIGTERM left some of the work undone, as of a program that SIGINT ends.
STOPPED = 130


class BenchError(Exception):
    """The base of every expected failure; commands print its text, without a traceback."""

    exit_code = 1


class UsageError(BenchError):
    """A wrong command line, recipe or option."""

    exit_code = 2


class MissingError(BenchError):
    """Data, hardware or space for the results is missing."""

    exit_code = 3
