"""What is asked for: recipes, matrices, commands and prices, checked but not run."""
