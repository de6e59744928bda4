"""What a matrix says to the speed gate alone: what each side needs first, what both share, what is judged."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from bench.documents.strict import Strict

Words = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class ForGate(Strict):
    """`prepare` are shell commands that run once in the folder of each side, such as `pip install -e .`.

    `shared` are paths in the repository that git does not track and that both sides get links to, such as `data`.
    `judge` are the metrics that are judged, all that are known where there are none. None of the three is part of what
    a cell is.
    """

    prepare: Words = Field(default_factory=list)
    shared: Words = Field(default_factory=list)
    judge: Words = Field(default_factory=list)
