"""Which patient to correct next: scores, strategies and the worklist."""
