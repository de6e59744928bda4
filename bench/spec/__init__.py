"""What a run is asked to be: documents in YAML, and what their scalars mean."""
