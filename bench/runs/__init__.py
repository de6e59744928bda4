"""What a recorded run holds, and what of it can be believed."""
