"""The speed gate: whether code has become slower, told from noise; see `verdict` for what counts as that."""

# What the gate asks a tree's agent and how it answers: the requests and replies that `bench.gate.agent` describes. A
# change of them raises the number. Every revision is measured by its own `bench/gate/agent.py`, so other modules may be
# renamed freely; this file, that one and the line below stay where they are.
PROTOCOL = 2
# 1: the agent imports `models` and `pipelines` from the top of its tree. 2: they are parts of `bench`.
# The oldest agent that the gate can still talk to.
LEAST_PROTOCOL = 1
