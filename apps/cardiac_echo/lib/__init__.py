"""Adapters between MONAI Label and `cardiolabel`, which computes every number."""
