"""What a fork server imports once for all its workers; to import this module is to import that.

A module that cannot be imported is left out, and its worker says why.
"""

from contextlib import suppress
from importlib import import_module

from bench.host.gc_pause import importing
from bench.models import MODULES
from bench.spec.measures import MEASURES

# Not ffcv, whose import changes torch's threads.
PRELOADED = (
    *(f"bench.measures.{name}" for name in MEASURES),
    *MODULES,
    "bench.pipelines.loaders.resident",
)

with importing():
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)
