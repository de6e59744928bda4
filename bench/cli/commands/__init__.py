"""What the commands do; `bench.cli.app` only reads their arguments."""
