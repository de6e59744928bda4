"""Formats of numbers and images."""

from __future__ import annotations

from typing import Literal

MemoryFormat = Literal["channels_last", "contiguous"]
NumberFormat = Literal["fp32", "tf32", "bf16", "fp16", "pure_fp16", "pure_bf16"]
