"""Tables and progress on a terminal, and the same as text files."""
