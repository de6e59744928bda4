"""YAML and settings, read strictly: every error has its file, line and key."""
