"""Kinds of operations, by the names that torch's dispatcher and its profiler give them."""

from __future__ import annotations

# The first kind fits whose part of a name is found. Operations on lists count as what they do to each tensor: on a CPU,
# the profiler gives their time to those.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Winograd transforms", ("_Pooled", "_Alone")),  # of bench.ingredients.pooled_conv and winograd_conv
    ("activated norm", ("_Activated", "activated_norm")),
    ("fused optimiser", ("_fused_sgd", "_fused_adam")),
    ("resizing", ("upsample",)),
    ("conv or matrix product", ("conv", "mm", "linear", "matmul", "attention", "lstm", "gru")),
    ("norm", ("_norm",)),
    ("pooling", ("pool",)),
    ("activation", ("gelu", "relu", "silu", "elu", "tanh", "sigmoid", "threshold", "softmax", "mish", "hardtanh")),
    (
        "copy",
        ("copy", "clone", "contiguous", "cat", "stack", "index", "gather", "flip", "pad", "fill", "zero", "resize"),
    ),
)
OTHER_KIND = "other elementwise"


def kind_of(name: str) -> str:
    """The kind of an operation called so, with or without `aten::`."""
    bare = name.removeprefix("aten::").removeprefix("autograd::engine::evaluate_function: ")
    return next((kind for kind, parts in KINDS if any(part in bare for part in parts)), OTHER_KIND)
