"""A studies folder read, predicted, measured and corrected."""
