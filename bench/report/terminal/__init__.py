"""Tables and progress for a terminal, and the same as text files."""
