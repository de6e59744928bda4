"""Scores of runs: rule books, published results, leaderboards."""
