"""How runs are carried out: the processes, what they may import, and what they leave behind."""
