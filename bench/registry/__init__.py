"""What a name stands for: a thing of bench's own, one of an installed package, or one in a user's file."""
