"""Resolves names: to bench's own objects, those of installed packages, or those in a user's file."""
