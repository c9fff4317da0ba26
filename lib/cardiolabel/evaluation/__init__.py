"""Evaluation: masks, volumes and EF against references, between annotators, and in degraded images."""
