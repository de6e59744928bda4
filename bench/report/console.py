"""Standard output whose reader may go away, as in `bench sweep night | head`."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class LastingConsole(Console):
    """Where nobody reads any more, the work goes on and its rows are kept; that is said once, on stderr."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What is still in Python's own buffer must not fail when it is flushed at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
        print("bench: nobody reads the output any more; the work goes on, and Ctrl-C stops it", file=sys.stderr)
