"""A board in short: the best of others beside the best here, and why that has no rank if it has none."""

from __future__ import annotations

from dataclasses import dataclass

from bench.scores.leaderboard import Board, Row


@dataclass(frozen=True)
class Summary:
    """`published` is the first ranked row of others. `ours` is our first row that reached the target: the first ranked
    one, else the fastest. Both are None if there is none."""

    board: Board
    published: Row | None
    ours: Row | None

    @property
    def reason(self) -> str:
        """The first reason why nothing of ours is ranked; empty if something is."""
        if self.ours is not None:
            return "" if self.ours.rank else self.ours.reasons[0]
        tried = any(row.kind == "run" for row in self.board.rows)
        return "no run here reached the target" if tried else "no run here"


def summarise(board: Board) -> Summary:
    published = next((row for row in board.ranked if row.kind != "run"), None)
    ours = next((row for row in board.rows if row.kind == "run" and row.reached and row.is_credible), None)
    return Summary(board, published, ours)
