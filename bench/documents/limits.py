"""Upper limits on what can be asked for. Real work stays far below them; they catch typing errors."""

from __future__ import annotations

from bench.documents.core_schema import LARGEST_INTEGER

# The largest seed that every generator and the store's integers can hold.
LARGEST_SEED = LARGEST_INTEGER
MOST_SEEDS = 10_000
MOST_CELLS = 10_000
# Cells times seeds.
MOST_RUNS = 100_000
LEAST_EPOCHS = 1e-6
MOST_EPOCHS = 1_000_000_000
MOST_THREADS = 1024
# The longest side of an image, in pixels.
MOST_PIXELS = 4096
# Any other count, such as a batch size.
MOST_COUNT = 1_000_000_000
# Single precision ends at 3.4e38, and a schedule multiplies further.
LARGEST_NUMBER = 1e30
# 23 days: system calls count milliseconds in 32 bits.
MOST_SECONDS = 2_000_000
