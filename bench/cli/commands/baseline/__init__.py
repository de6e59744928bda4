"""Save a baseline on this machine for later comparison; list, show and remove baselines."""

COMMANDS = ("save", "list", "show", "noise", "drop")
EPILOG = (
    "Exit codes: 0 fine; 1 a run failed (save); 2 wrong usage or config; 3 no baseline that can be read, or hardware "
    "missing; 130 stopped by Ctrl-C."
)
