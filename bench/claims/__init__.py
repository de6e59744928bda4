"""Statements of lectures, each with a matrix, a quantity and a rule, and their verdicts from recorded runs."""
