"""Optimisers and schedules by name; importing this brings no torch."""

from __future__ import annotations

from bench.registry.registry import Info, Registry

OPTIMIZERS = Registry(
    "optimizer",
    "optimizers",
    {
        "sgd": Info("bench.training.optimizers:sgd", "SGD with momentum; decoupled: weight decay beside the gradient"),
        "adamw": Info("bench.training.optimizers:adamw", "AdamW; decoupled: false is Adam"),
        "rmsprop": Info("bench.training.optimizers:rmsprop", "RMSprop, as WGANs are trained"),
        "muon": Info("bench.training.optimizers:muon", "orthogonalised momentum, for filters and matrices"),
    },
)
SCHEDULES = Registry(
    "schedule",
    "schedules",
    {
        "constant": Info("bench.training.schedules:constant", "the learning rate as it is"),
        "linear": Info("bench.training.schedules:linear", "a line from start to end"),
        "triangular": Info("bench.training.schedules:triangular", "a line up to a peak, and one down"),
        "one_cycle": Info("bench.training.schedules:one_cycle", "fast.ai's cycle of rate and momentum, in lines"),
        "fit_one_cycle": Info("bench.training.schedules:fit_one_cycle", "fast.ai's later cycle, in cosines"),
        "step": Info("bench.training.schedules:step", "times gamma at each milestone"),
        "cosine": Info("bench.training.schedules:cosine", "half a cosine down to end"),
    },
)
