"""Words for numbers, units and command lines."""
