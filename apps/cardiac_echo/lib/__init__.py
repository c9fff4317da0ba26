"""Adapters between MONAI Label and `cardiolabel`; every number is computed there."""
