"""Pipelines over whole folders: images to masks to measurements to tables."""
