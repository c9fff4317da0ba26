"""Active learning played through on a dataset whose labels are there: what each strategy saves."""
