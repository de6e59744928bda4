"""How runs are carried out: their processes, what these may import, and what they leave behind."""
