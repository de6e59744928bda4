"""What a recipe can add to plain training, with settings, conflicts and work."""
