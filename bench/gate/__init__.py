"""The speed gate: whether code has become slower, told from noise; see `verdict` for what counts as that."""
