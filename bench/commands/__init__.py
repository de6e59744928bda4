"""What the commands do; `bench.cli` only reads their arguments."""
