"""Data sets, loaders and augmentation, independent of the harness."""
