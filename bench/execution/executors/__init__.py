"""Where the runs of a sweep are carried out: on this machine, on the nodes of a Ray cluster, or as jobs of Slurm.

Importing this imports none of the engines; an executor imports its own when it is made.
"""

from __future__ import annotations

import importlib.util

from bench.errors import MissingError

# Of each executor with an engine: the module that is imported, and the extra that installs it.
ENGINES = {"ray": ("ray", "ray"), "slurm": ("submitit", "slurm")}


def check_installed(executor: str) -> None:
    """Raises MissingError, with what to install, if the engine of an executor is not here."""
    if executor in ENGINES:
        module, extra = ENGINES[executor]
        if importlib.util.find_spec(module) is None:
            raise MissingError(
                f"--executor {executor}: the package {module} is not installed here; "
                f"pip install 'bench-to-accuracy[{extra}]', or use --executor local"
            )
