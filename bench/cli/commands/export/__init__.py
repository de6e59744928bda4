"""Write runs in a foreign format."""

COMMANDS = ("dawnbench", "mllog")
