"""Save a baseline on this machine for later comparison; list, show and remove baselines."""

from bench.cli.gate_options import GATE_EXIT_CODES

COMMANDS = ("save", "list", "show", "noise", "drop")
EPILOG = GATE_EXIT_CODES
