"""What runs are worth: rule books, published records, leaderboards."""
