"""What the record of a resumed run takes from the part before its checkpoint, beside spans and epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.host import contention
from bench.host.contention import Usage
from bench.runs.checkpoint import Checkpoint
from bench.text import units


def usage(now: Usage, resume: Checkpoint | None) -> Usage:
    """Who used the cores in both parts, without what was lost between them."""
    before = Usage.of(resume.values.usage) if resume and resume.values.usage else None
    return (contention.total([before, now]) or now) if before else now


def peaks(now: Mapping[str, int | None], resume: Checkpoint | None) -> dict[str, int | None]:
    """The larger peak of both parts, by kind of memory."""
    before = resume.values.peaks if resume else {}
    return {name: max(peak or 0, before.get(name) or 0) or None for name, peak in now.items()}


def metrics(found: Mapping[str, Any], resume: Checkpoint | None) -> dict[str, Any]:
    """The metrics that differ for both parts together; none for a run from the beginning."""
    if resume is None:
        return {}
    own = {name: found.get(name) for name in resume.values.peaks}
    # The energy of what was lost between the parts is not known, and so is not that of the whole.
    return peaks(own, resume) | {"energy_j": None}


def remark(parts: Sequence[Mapping[str, Any]]) -> str | None:
    """What a resumed run says of the last interruption behind it; None for a run from the beginning."""
    if not parts:
        return None
    last = parts[-1]
    lost = "nobody knows how much" if last["lost_s"] is None else units.duration(last["lost_s"])
    return f"goes on from run {last['run_id']} after epoch {last['epoch']}; of its work, {lost} was lost"
