"""What a recipe can add to plain training, and the settings of all of it."""
