"""Active-learning strategies simulated on a labelled dataset."""
