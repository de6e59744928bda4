"""Whose code runs: this tree's, in every child too, and never a module that only lies in the current folder.

Python puts the current folder first on the path of `python -m` and `python -c`, and the children of multiprocessing
start as the latter. Imported before anything else by `python -m bench`, this itself imports only what Python has
loaded by then.
"""

import os
import sys
from importlib import util

# As the user has it, before anything here is changed for our own workers.
ENVIRONMENT = dict(os.environ)
PACKAGES = ("bench",)
# Real, because a tree may be reached by several names.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def forget_current_folder() -> None:
    """Take the current folder off the path again; for `python -m bench` alone."""
    if not sys.flags.safe_path:
        del sys.path[0]
    if getattr(sys.modules["bench"], "__file__", None) is None:
        # A folder `bench` of the user's made a namespace of both; what follows imports the package itself.
        for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
            del sys.modules[name]


def keep_to_own_code() -> None:
    """Let this process and its children import the packages of this tree, and no module of the current folder."""
    protect_children()
    # Nor may a plug-in of pydantic's decide what a document means; looking for some takes as long as importing it.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    if difference(places()) is None:
        return
    # Another tree is installed here. Ours goes before it, and behind Python's own modules.
    other = next((at for at, folder in enumerate(sys.path) if _holds_a_package(folder)), len(sys.path))
    sys.path.insert(other, ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (path_of(ROOT), os.environ.get("PYTHONPATH"))))


def protect_children() -> None:
    """Keep the current folder off the path of every Python that this process starts."""
    os.environ["PYTHONSAFEPATH"] = "1"


def path_of(root: str, packages: tuple[str, ...] = PACKAGES) -> str:
    """A folder for a child's PYTHONPATH: it finds the tree's packages there, and nothing that lies beside them.

    PYTHONPATH comes before Python's own modules, so that the tree itself would not do. The folder goes with this
    process.
    """
    from bench.execution import scratch

    folder = scratch.for_one_run()
    for name in packages:
        (folder / name).symlink_to(os.path.join(root, name), target_is_directory=True)
    return str(folder)


def places() -> dict[str, str | None]:
    """The folder of each of our packages as this process imports it, or would; None where it cannot."""
    return {name: _place(name) for name in PACKAGES}


def difference(there: dict[str, str | None]) -> str | None:
    """What is wrong with a process that has its packages `there`; None if it runs the code of this tree."""
    for name in PACKAGES:
        ours, theirs = os.path.join(ROOT, name), there.get(name)
        if theirs != ours:
            return f"{name} would come from {theirs or 'nowhere'}, and not from {ours}"
    return None


def refusal(wrong: str) -> str:
    """The message for a process that would run other code."""
    return (
        f"a worker would run other code than this command: {wrong}; look at PYTHONPATH and at what is installed, "
        "or call the `bench` of the environment in which this tree is installed"
    )


def _place(name: str) -> str | None:
    module = sys.modules.get(name)
    try:
        spec = getattr(module, "__spec__", None) or util.find_spec(name)
    except (ImportError, ValueError):
        return None
    # A folder without __init__.py, as a user's empty one, has no origin.
    origin = spec.origin if spec is not None else None
    return os.path.dirname(os.path.realpath(origin)) if origin else None


def _holds_a_package(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name, "__init__.py")) for name in PACKAGES)
