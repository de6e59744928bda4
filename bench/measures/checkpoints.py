"""Writes the checkpoints of a training, outside its training spans, and reads the one from which it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.runs import state_file
from bench.runs.checkpoint import CheckpointPlace
from bench.runs.state_file import TornState
from bench.training.state import NotKept, State, check

if TYPE_CHECKING:
    from bench.measures.base import Measure

# A hash as numbers that ranks can exchange exactly.
WORD_DIGITS = 8
HASH_DIGITS = 64
NO_HASH = [-1.0] * (HASH_DIGITS // WORD_DIGITS)


class Checkpoints:
    """Those of one run; `remark` says what kept the last one from being written, which does not end the run."""

    def __init__(self, measure: Measure, place: CheckpointPlace, every_epochs: int) -> None:
        self._measure, self._place, self._every = measure, place, every_epochs
        self._superseded = measure.job.resume
        self.remark: str | None = None

    def after_epoch(self, epochs: int, state: Callable[[], State]) -> None:
        """Write one if it is due after so many epochs; all ranks call this together."""
        if epochs % self._every:
            return
        clock = self._measure.clock
        began_s = clock.elapsed_s()
        with clock.span("checkpoint", epochs):
            hashes = self._hashes(self._written(epochs, state))
            if None in hashes:
                self._fails(epochs, f"rank {hashes.index(None)} could not write its state")
            elif self._measure.ranks.rank == 0:
                self._finish(epochs, began_s, [one for one in hashes if one])

    def _written(self, epochs: int, state: Callable[[], State]) -> str | None:
        """The hash of this rank's state in its file; None if there is none."""
        self.remark = None
        try:
            values = state()
            check(values)
            return state_file.save(values, self._place.state_path(epochs, self._measure.ranks.rank))
        except (NotKept, OSError) as error:
            self._fails(epochs, error)
            return None

    def _hashes(self, own: str | None) -> list[str | None]:
        """The hashes of all ranks' states."""
        starts = range(0, HASH_DIGITS, WORD_DIGITS)
        words = NO_HASH if own is None else [float(int(own[start : start + WORD_DIGITS], 16)) for start in starts]
        every = self._measure.ranks.gather(words)
        return [None if one == NO_HASH else "".join(f"{int(word):08x}" for word in one) for one in every]

    def _finish(self, epochs: int, began_s: float, hashes: Sequence[str]) -> None:
        """Write the values, after which the checkpoint is one, and remove what it replaces."""
        measure, place = self._measure, self._place
        names = [place.state_path(epochs, rank).name for rank in range(len(hashes))]
        elapsed_s = measure.clock.elapsed_s()
        usage = measure.usage()
        try:
            place.write(
                epoch=epochs,
                epochs=measure.recipe.epochs,
                elapsed_s=elapsed_s,
                data=measure.data_facts,
                states=dict(zip(names, hashes, strict=True)),
                spans=[
                    *measure.spans(),
                    {"name": "checkpoint", "start_s": began_s, "end_s": elapsed_s, "epoch": epochs},
                ],
                parts=list(measure.job.parts),
                usage=usage.to_dict() if usage else None,
                peaks=measure.peaks(),
                energy_j=measure.energy.spent_j(),
            )
            if self._superseded is not None:
                self._superseded.remove()
                self._superseded = None
        except OSError as error:
            self._fails(epochs, error)

    def _fails(self, epochs: int, why: object) -> None:
        if self.remark is None:
            why = getattr(why, "strerror", None) or why
            self.remark = f"the checkpoint after epoch {epochs} could not be kept in {self._place.folder}: {why}"


def saved_state(measure: Measure) -> State | None:
    """The state of this rank in the checkpoint from which the run goes on; None for a run from the beginning.

    Raises `UsageError` for a torn one.
    """
    resume, rank = measure.job.resume, measure.ranks.rank
    if resume is None:
        return None
    path, sha256 = resume.state(rank)
    with measure.clock.span("checkpoint"):
        try:
            return state_file.load(path, sha256)
        except TornState as error:
            torn: UsageError = resume.torn(str(error))
            raise torn from None
