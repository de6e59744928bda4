"""What was wrong with a script's lines and events, for the record's remarks."""

from __future__ import annotations

MOST = 3
# As much of a faulty line as a remark shows.
SHOWN_CHARS = 120


class Problems(list[str]):
    """The first few problems; a script that is wrong in one way is often wrong in thousands of lines."""

    def note(self, problem: str) -> None:
        if len(self) < MOST:
            self.append(problem)
