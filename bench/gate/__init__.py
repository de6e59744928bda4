"""The speed gate: whether code has become slower, told from noise; see `verdict` for what counts as that."""

# The number of the names by which the gate's agent runs a tree's code (`bench.gate.agent` lists them). A change of them
# raises it; code from before there were numbers has 0.
PROTOCOL = 1
# The oldest code that the agent still knows how to run.
LEAST_PROTOCOL = 0
