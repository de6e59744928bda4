"""The machine and the code of a run: what they are, and what else the machine does meanwhile."""
