"""Data sets, loaders and augmentation; knows nothing of the harness."""
