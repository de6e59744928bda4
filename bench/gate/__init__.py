"""The speed gate: whether code has become slower, as opposed to noise; `verdict` defines what counts."""

# The version of the requests and replies between the gate and a revision's agent, which `bench.gate.agent` describes. A
# change of them raises the number. Every revision is measured by its own `bench/gate/agent.py`, so other modules may be
# renamed freely; this file, that one and the line below must stay where they are.
PROTOCOL = 2
# 1: the agent imports `models` and `pipelines` from the top of its tree. 2: they are parts of `bench`. The oldest agent
# that the gate can still talk to.
LEAST_PROTOCOL = 1
