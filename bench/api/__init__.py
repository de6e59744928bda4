"""Bench from Python: `bench.run`, `bench.sweep`, `bench.load` and `bench.leaderboard`, as docs/python.md shows."""
