"""The machine under a run: what else it does meanwhile."""
