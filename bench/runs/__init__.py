"""Recorded runs: their format, where they are stored, and how they are read, merged and selected."""
