"""Inference tasks; one module per model."""
