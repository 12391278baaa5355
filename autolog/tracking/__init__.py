"""Runs as the training program sees them: opening, logging, ending, and where they come from."""
