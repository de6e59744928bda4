"""The cells that a claim compares, and the ids of their runs on any machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from bench.claims.claim import LEAST_SEEDS, ClaimSpec
from bench.documents.document import Document
from bench.errors import UsageError
from bench.spec import kept_nets
from bench.spec import matrix as matrices
from bench.spec.matrix import Matrix, Values, has, listed
from bench.spec.recipes import identify
from bench.text.canonical import canonical_json
from bench.text.units import counted

# Where the claims are that come with the project.
OWN = Path(__file__).parent
# The possible meanings of `precision: auto` on a device.
NATIVE = {"cpu": ("bf16", "fp32"), "cuda": ("fp16",)}


@dataclass(frozen=True, eq=False)
class ClaimCell:
    """A cell of a claim's matrix, and its `ids`: one for each device, each precision that may be native to it, and
    each network trained so far that its task may have been given.

    `data` is the data set of the recipe with its options, as text.
    """

    values: Values
    ids: frozenset[str]
    data: str

    @property
    def label(self) -> str:
        return listed(self.values) or "the recipe as it is"


class Claim:
    """A valid claim file; `id` is its name, such as S07."""

    def __init__(self, document: Document) -> None:
        """Raises `UsageError`, with file, line and key."""
        self._document = document
        self.path, self.id = document.path, document.path.stem
        self.spec = document.validate(ClaimSpec)

    @property
    def argument(self) -> str:
        """What `bench claims` calls it: the id, or the file of one that does not come with the project."""
        return self.id if self.path.parent == OWN else shlex.quote(str(self.path))

    @cached_property
    def matrix(self) -> Matrix:
        """Raises `UsageError` if there is no such matrix, or for a mistake in it."""
        try:
            return matrices.load(self._document.beside(str(self.spec.matrix)))
        except UsageError as error:
            self._document.refuse("matrix", str(error))

    @property
    def devices(self) -> tuple[str, ...]:
        """The kinds of devices on which it can be tested: a claim about GPUs is not tested on a CPU."""
        return ("cuda",) if self.spec.needs is not None and self.spec.needs.gpu else ("cpu", "cuda")

    @property
    def seeds(self) -> int:
        """Runs of each cell that the matrix asks for."""
        return self.matrix.spec.seeds

    @cached_property
    def cells(self) -> list[ClaimCell]:
        """The cells of its matrix. Raises `UsageError` if they cannot test a part of the claim."""
        measure = self.matrix.spec.measure
        on = {device: matrices.configs(self.matrix, device) for device in self.devices}
        cells = [
            ClaimCell(
                values,
                frozenset(
                    identify(of_net, device, measure, native)[1]
                    for device in self.devices
                    for of_net in kept_nets.alternatives(on[device][position][1])
                    for native in NATIVE[device]
                ),
                canonical_json(config.get("data")),
            )
            for position, (values, config) in enumerate(on[self.devices[0]])
        ]
        self._check(cells)
        return cells

    @cached_property
    def compared(self) -> list[ClaimCell]:
        """The cells that some test uses; all of them for a rank correlation."""
        found: list[ClaimCell] = []
        for position, test in enumerate(self.spec.tests):
            if test.quantity == "rank_correlation":
                return list(self.cells)
            found += [self.side(position, side) for side in ("of", "to") if getattr(test, side) is not None]
        return list(dict.fromkeys(found))

    def look_again(self) -> None:
        """Identify its cells anew, because networks that their tasks need have been trained since."""
        for found in ("cells", "compared"):
            self.__dict__.pop(found, None)

    def side(self, position: int, side: str) -> ClaimCell:
        """The cell that the test at this position has for `of` or `to`."""
        return self._side(position, side, self.cells)

    def refuse(self, position: int, key: str, why: str) -> NoReturn:
        """Raise the `UsageError` for a mistake in a key of the test at this position."""
        self._document.refuse(f"tests.{position}.{key}", why)

    def _check(self, cells: Sequence[ClaimCell]) -> None:
        for position, test in enumerate(self.spec.tests):
            for side in ("of", "to"):
                if getattr(test, side) is not None:
                    self._side(position, side, cells)
            if self.seeds < LEAST_SEEDS and not test.counted and test.quantity != "rank_correlation":
                self.refuse(
                    position,
                    "quantity",
                    f"{self.matrix.name} has {counted(self.seeds, 'seed')}, and a {test.quantity} "
                    f"that varies needs {LEAST_SEEDS} at least; raise seeds in the matrix, or say counted: true",
                )

    def _side(self, position: int, side: str, cells: Sequence[ClaimCell]) -> ClaimCell:
        """The cell with exactly these values, else the only one with these among its values."""
        wanted: Mapping[str, object] = getattr(self.spec.tests[position], side)
        having = [cell for cell in cells if has(cell.values, wanted)]
        exact = [cell for cell in having if len(cell.values) == len(wanted)]
        found = exact or having
        told = listed(wanted) or "no value at all"
        if not found:
            known = "; ".join(cell.label for cell in cells[:8])
            self.refuse(position, side, f"{self.matrix.name} has no cell with {told}; its cells: {known}")
        if len(found) > 1:
            those = "; ".join(cell.label for cell in found[:4])
            self.refuse(
                position, side, f"{told}: {len(found)} cells of {self.matrix.name} have that ({those}); name more"
            )
        return found[0]
