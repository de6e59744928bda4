"""Names of things, checked by the validators of a document."""

from __future__ import annotations

from typing import Any

from bench.documents.document import refuse
from bench.errors import UsageError
from bench.registry.registry import Registry


def check_known(key: str, name: str, registry: Registry[Any]) -> None:
    """Refuse an unknown name, as an error of this value alone."""
    try:
        registry.find(name)
    except UsageError as error:
        refuse(key, str(error))
