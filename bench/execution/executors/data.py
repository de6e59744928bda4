"""Which data the hosts of a sweep must have: that of the machine where it was started, if that has it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.documents.named import Named
from bench.pipelines.datasets import load_dataset, locate
from bench.pipelines.errors import PipelineError


def key_of(data: Named) -> str:
    """Equal for what loads the same data."""
    return data.model_dump_json()


def fingerprints(data: Iterable[Named], data_dir: Path | None) -> dict[str, str]:
    """The fingerprint of each data set that is here, by its `key_of`; nothing is downloaded."""
    found: dict[str, str] = {}
    for key, named in {key_of(named): named for named in data}.items():
        with suppress(PipelineError):  # the hosts may have it all the same
            if locate(named.name, data_dir) is not None:
                loaded = load_dataset(named.name, data_dir=data_dir, options=named.options, download=False)
                found[key] = loaded.fingerprint
    return found
