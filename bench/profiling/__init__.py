"""Where a training step's time, memory and FLOPs go: by stage of the network, and around it."""
