"""Training recipes compared on the same patients and budget."""
