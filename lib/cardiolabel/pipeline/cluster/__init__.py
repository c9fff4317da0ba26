"""Folders predicted by many processes or machines."""
