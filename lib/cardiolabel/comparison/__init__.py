"""Training recipes side by side: the same patients, the same budget, the same measures."""
