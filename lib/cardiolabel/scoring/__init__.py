"""How open each patient of a studies folder is, kept up to date, and who comes next by that."""
