"""Active learning: scores of patients, strategies, and the worklist."""
