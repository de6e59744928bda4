"""The networks of this repository."""

from models.cnn import Cnn

__all__ = ["Cnn"]
