"""Statements of lectures, each bound to a matrix, a quantity and a rule, and the verdict that recorded runs give."""
