"""Retraining on corrections, and promotion of a model that is no worse."""
