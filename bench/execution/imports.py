"""Makes this process and its children import this tree's code, and never modules from the current folder.

Python puts the current folder first on the path of `python -m` and `python -c`, and multiprocessing starts children by
the latter. `python -m bench` imports this module first, so it imports only modules that Python has already loaded.
"""

import os
import sys
from importlib import util
from importlib.machinery import ModuleSpec

# The user's value, before it is changed for our own workers.
ENVIRONMENT = dict(os.environ)
PACKAGES = ("bench",)
# Resolved, because several paths may lead to a tree.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def forget_current_folder() -> None:
    """Remove the current folder from the path; only for `python -m bench`."""
    if not sys.flags.safe_path:
        del sys.path[0]
    if getattr(sys.modules["bench"], "__file__", None) is None:
        # A folder `bench` of the user made a namespace package of both; the following imports the real package.
        for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
            del sys.modules[name]


def keep_to_own_code() -> None:
    """Let this process and its children import the packages of this tree, and no module of the current folder."""
    protect_children()
    # Nor may a plug-in of pydantic's decide what a document means; looking for some takes as long as importing it.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    if difference({name: _folder(_found(name)) for name in PACKAGES}) is None:
        return
    # Another tree is installed. Put ours before it but after Python's own modules.
    other = next((at for at, folder in enumerate(sys.path) if _holds_a_package(folder)), len(sys.path))
    sys.path.insert(other, ROOT)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (path_of(ROOT), os.environ.get("PYTHONPATH"))))


def protect_children() -> None:
    """Keep the current folder off the path of every Python process started from here."""
    os.environ["PYTHONSAFEPATH"] = "1"


def path_of(root: str, packages: tuple[str, ...] = PACKAGES) -> str:
    """A folder for a child's PYTHONPATH that contains only links to the tree's packages.

    PYTHONPATH comes before Python's own modules, so the tree itself could hide some. The folder is removed with this
    process.
    """
    from bench.execution import scratch

    folder = scratch.for_one_run()
    for name in packages:
        (folder / name).symlink_to(os.path.join(root, name), target_is_directory=True)
    return str(folder)


def places() -> dict[str, str | None]:
    """The folder from which this process imports each of our packages; None if it cannot."""
    return {name: _place(name) for name in PACKAGES}


def difference(there: dict[str, str | None]) -> str | None:
    """Why a process with its packages `there` runs other code than this tree's; None if it does not."""
    for name in PACKAGES:
        ours, theirs = os.path.join(ROOT, name), there.get(name)
        if theirs != ours:
            return f"{name} would come from {theirs or 'nowhere'}, and not from {ours}"
    return None


def refusal(wrong: str) -> str:
    """The error message for a process that would run other code."""
    return (
        f"a worker would run other code than this command: {wrong}; look at PYTHONPATH and at what is installed, "
        "or call the `bench` of the environment in which this tree is installed"
    )


def _found(name: str) -> ModuleSpec | None:
    """What a child would import: this process may have its own from the current folder, which a child does not see."""
    found = (finder.find_spec(name, None) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _place(name: str) -> str | None:
    module = sys.modules.get(name)
    try:
        spec = getattr(module, "__spec__", None) or util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return _folder(spec)


def _folder(spec: ModuleSpec | None) -> str | None:
    # A folder without __init__.py has no origin.
    origin = spec.origin if spec is not None else None
    return os.path.dirname(os.path.realpath(origin)) if origin else None


def _holds_a_package(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name, "__init__.py")) for name in PACKAGES)
